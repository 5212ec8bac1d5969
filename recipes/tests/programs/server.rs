//! `server`: 503 when it is full, and the drain.

use crate::common::watchdog;
use crate::program::Running;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// The SHA-256 of "hello".
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// A server on a free port, and where that is.
fn server(workers: &str, queue: &str) -> (Running, String) {
    let mut server = Running::start(Command::new(env!("CARGO_BIN_EXE_server")).args([
        "--workers",
        workers,
        "--queue",
        queue,
        "127.0.0.1:0",
    ]));
    let line = server.line();
    let address = line
        .strip_prefix("http://")
        .and_then(|rest| rest.strip_suffix("/\n"));
    let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
    (server, address)
}

/// Sends this and returns the whole answer.
fn ask(address: &str, request: &str) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

fn get(address: &str) -> String {
    ask(address, "GET / HTTP/1.1\r\n\r\n")
}

/// A client that keeps its worker for as long as the test wants.
struct Upload(TcpStream);

impl Upload {
    fn begin(address: &str) -> Self {
        let mut client = TcpStream::connect(address).unwrap();
        let head = "POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        client.write_all(head.as_bytes()).unwrap();
        Self(client)
    }

    /// Waits until a worker asks for the body.
    fn has_worker(&mut self) {
        let mut answer = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        self.0.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    fn finish(mut self) {
        self.0.write_all(b"hello").unwrap();
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{HELLO}")), "{answer}");
    }
}

#[test]
fn more_than_it_can_hold_gets_503_and_later_200_again() {
    let _watchdog = watchdog();
    let (server, address) = server("2", "1");
    // One after the other, since each waits for its worker in the one place that there is.
    let [first, second] = [(); 2].map(|()| {
        let mut upload = Upload::begin(&address);
        upload.has_worker();
        upload
    });
    let mut waiting = Upload::begin(&address);
    for _ in 0..3 {
        let refused = get(&address);
        assert!(
            refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
            "{refused}"
        );
        assert!(refused.contains("\r\nRetry-After: 1\r\n"), "{refused}");
    }
    first.finish();
    waiting.has_worker();
    second.finish();
    waiting.finish();
    assert!(get(&address).starts_with("HTTP/1.1 200 OK\r\n"));
    server.interrupt();
    let ended = server.end();
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.stderr.contains("4 answered, 0 failed, 3 refused"),
        "{}",
        ended.stderr
    );
}

#[test]
fn ctrl_c_closes_the_port_and_answers_whoever_was_let_in() {
    let _watchdog = watchdog();
    let (mut server, address) = server("1", "1");
    let mut running = Upload::begin(&address);
    running.has_worker();
    let mut waiting = Upload::begin(&address);
    // So it has been let in.
    assert!(get(&address).contains(" 503 "));
    server.interrupt();
    server.says("the port is closed");
    let refused = TcpStream::connect(&address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    running.finish();
    waiting.has_worker();
    waiting.finish();
    let ended = server.end();
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.stderr.contains("2 answered, 0 failed, 1 refused"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let _watchdog = watchdog();
    let (mut server, address) = server("1", "1");
    let mut running = Upload::begin(&address);
    running.has_worker();
    server.interrupt();
    server.says("the port is closed");
    server.interrupt();
    assert_eq!(server.end().code, Some(130));
}

#[test]
fn clients_that_leave_or_talk_nonsense_harm_nobody() {
    let _watchdog = watchdog();
    let (server, address) = server("1", "8");
    let mut leaves = Upload::begin(&address);
    leaves.has_worker();
    drop(leaves);
    assert_eq!(ask(&address, "\0\r\n\r\n"), "");
    let endless = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(20_000));
    let mut client = TcpStream::connect(&address).unwrap();
    client.write_all(endless.as_bytes()).unwrap();
    // Reset or closed, but no answer.
    assert!(!matches!(client.read(&mut [0]), Ok(1)));
    let long = "POST / HTTP/1.1\r\nContent-Length: 16777216\r\n\r\n";
    for (request, status) in [
        ("GET /other HTTP/1.1\r\n\r\n", "404"),
        ("POST / HTTP/1.1\r\n\r\n", "411"),
        (long, "413"),
        ("GET / HTTP/1.1\r\n\r\n", "200"),
    ] {
        let answer = ask(&address, request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
    }
    server.interrupt();
    let ended = server.end();
    for words in ["endless headers", "4 answered, 3 failed, 0 refused"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

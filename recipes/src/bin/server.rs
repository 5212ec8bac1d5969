//! A web server that answers 503 when it is full, instead of queuing without end.
//!
//! ```text
//! cargo run --release -p workcrew-recipes --bin server -- [--workers N] [--queue N] [ADDRESS]
//! ```
//!
//! For the pattern's row "controlled concurrency in server applications": a connection is a job. N
//! are served at a time, some more wait, and what `try_submit` hands back gets its 503 at once. A
//! client that stalls for ten seconds loses its worker.
//!
//! Stdout has the address, stderr a line for each request. Ctrl-C drains: the port is closed, and
//! whoever was let in gets an answer. The exit code is 0, or 2 if it cannot begin.

use std::error::Error;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{sync::Arc, thread, time::Duration};

use clap::Parser;
use recipes::http::{Request, respond};
use sha2::{Digest, Sha256};
use workcrew::{Results, WorkerPool};

/// How long a client may stall.
const PATIENCE: Duration = Duration::from_secs(10);
/// The size of a body that is not taken.
const LONGEST: u64 = 16 << 20;

/// Answers what is posted with its SHA-256, and 503 when it is full.
#[derive(Parser)]
struct Arguments {
    /// Where it listens; port 0 is any free one
    #[arg(default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// Connections that are served at a time
    #[arg(long, value_name = "N", default_value = "4")]
    workers: NonZero<usize>,
    /// Connections that may wait for a worker
    #[arg(long, value_name = "N", default_value = "16")]
    queue: NonZero<usize>,
}

fn main() -> ExitCode {
    recipes::exit("server", listen(Arguments::parse()))
}

fn listen(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let listener = TcpListener::bind(arguments.address)?;
    let address = listener.local_addr()?;
    let (pool, results) = WorkerPool::builder()
        .workers(arguments.workers.get())
        .job_capacity(arguments.queue.get())
        .build(|client: TcpStream, _| serve(&client))?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    recipes::on_ctrl_c(move || {
        stop.store(true, Relaxed);
        // Wakes who waits for clients.
        let _ = TcpStream::connect(address);
    })?;
    // It serves whether or not anybody reads this.
    let _ = writeln!(io::stdout(), "http://{address}/");

    let log = thread::spawn(move || log(results));
    let mut refused = 0;
    // No error ends it: a client may be gone before it is let in.
    for client in listener.incoming().flatten() {
        // Relaxed: the connection comes after the flag.
        if stopped.load(Relaxed) {
            break;
        }
        if let Err(full) = pool.try_submit(client) {
            refused += 1;
            let _ = refuse(&full.into_job());
        }
    }
    drop(listener);
    eprintln!("server: the port is closed");
    pool.close();
    let (answered, failed) = log.join().expect("logging does not panic");
    eprintln!("server: {answered} answered, {failed} failed, {refused} refused");
    Ok(true)
}

/// Takes all results, and counts what was answered and what failed.
fn log(results: Results<io::Result<String>>) -> (u64, u64) {
    let (mut answered, mut failed) = (0, 0);
    for outcome in results {
        let served = outcome.result.map_err(io::Error::other).flatten();
        *(if served.is_ok() {
            &mut answered
        } else {
            &mut failed
        }) += 1;
        eprintln!(
            "server: {}",
            served.unwrap_or_else(|error| error.to_string())
        );
    }
    (answered, failed)
}

/// The job. Returns a line for the log.
fn serve(client: &TcpStream) -> io::Result<String> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let request = Request::read(client)?;
    let (status, body) = match (&*request.method, &*request.path, request.length) {
        ("GET", "/", _) => (
            "200 OK",
            "curl --data-binary @FILE is what I am for\n".into(),
        ),
        ("POST", "/", None) => ("411 Length Required", String::new()),
        ("POST", "/", Some(LONGEST..)) => ("413 Content Too Large", String::new()),
        ("POST", "/", Some(_)) => ("200 OK", sha256(&request.body(client)?)),
        _ => ("404 Not Found", String::new()),
    };
    respond(
        client,
        status,
        "Content-Type: text/plain\r\n",
        body.as_bytes(),
    )?;
    Ok(format!("{} {}: {status}", request.method, request.path))
}

fn sha256(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Tells a client to come again, and waits for nothing.
fn refuse(client: &TcpStream) -> io::Result<()> {
    client.set_nonblocking(true)?;
    respond(client, "503 Service Unavailable", "Retry-After: 1\r\n", b"")
}

//! `crawl`: all pages, the cap, and what a missing page does.

use crate::common::{Door, watchdog};
use crate::folder;
use crate::program::{Running, run};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;

use recipes::http::{Request, respond};

fn crawl() -> Command {
    Command::new(env!("CARGO_BIN_EXE_crawl"))
}

/// A site whose first page links to `pages` others, of five bytes each, that call `wait` before
/// they are sent.
fn site(pages: usize, wait: impl Fn() + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let wait = Arc::new(wait);
    thread::spawn(move || {
        for client in listener.incoming().map(Result::unwrap) {
            let wait = Arc::clone(&wait);
            thread::spawn(move || answer(&client, pages, &*wait));
        }
    });
    format!("http://{address}/")
}

fn answer(client: &TcpStream, pages: usize, wait: &dyn Fn()) {
    let request = Request::read(client).unwrap();
    if request.path == "/" {
        let links: String = (0..pages)
            .map(|page| format!("<a href=\"{page}#part\">"))
            .collect();
        // Of another site, and of no site at all.
        let others =
            "<a href=\"http://127.0.0.1:1/\"><a href=\"mailto:nobody\"><a href=\"http://\">";
        let page = format!("{links}{links}{others}");
        respond(
            client,
            "200 OK",
            "Content-Type: text/html\r\n",
            page.as_bytes(),
        )
        .unwrap();
    } else {
        wait();
        respond(client, "200 OK", "", b"a\"b\"c").unwrap();
    }
}

#[test]
fn every_file_of_a_directory_comes_and_a_missing_one_stops_nothing() {
    let _watchdog = watchdog();
    let folder = folder();
    let root = folder.path();
    let names = [
        "a",
        "sub/b",
        "sub/deep/c",
        "sp ace",
        "per%20cent",
        "#hash",
        "\u{e4}",
        "x&amp;y",
    ];
    for (size, name) in names.iter().enumerate() {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x".repeat(1000 + size)).unwrap();
    }
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("..", root.join("sub/loop")).unwrap();
    for in_flight in ["1", "7"] {
        let ended = run(crawl().arg(root).args(["--in-flight", in_flight]));
        let sizes = ended
            .stdout
            .lines()
            .map(|line| line.split_whitespace().next().unwrap());
        let sizes: Vec<usize> = sizes.map(|size| size.parse().unwrap()).collect();
        let files: BTreeSet<_> = sizes.iter().copied().filter(|size| *size >= 1000).collect();
        assert_eq!(
            files,
            (1000..1000 + names.len()).collect(),
            "{}",
            ended.stdout
        );
        // With the pages of three directories, each of them once.
        assert_eq!(sizes.len(), names.len() + 3, "{}", ended.stdout);
        let total: usize = sizes.iter().sum();
        assert!(
            ended
                .stderr
                .contains(&format!("11 pages, {total} bytes, 1 failed, 0 left out"))
        );
        assert!(
            ended.stderr.contains("/dangling: http status: 404"),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.code, Some(1));
    }
}

#[test]
fn as_many_pages_as_allowed_are_fetched_at_a_time() {
    let _watchdog = watchdog();
    // Three at a time, or it would stand still.
    let barrier = Barrier::new(3);
    let url = site(12, move || {
        barrier.wait();
    });
    let ended = run(crawl().args([&url, "--in-flight", "3"]));
    let pages = ended.stdout.lines();
    assert_eq!(pages.filter(|line| line.contains("        5 ")).count(), 12);
    assert!(ended.stderr.contains("13 pages, "), "{}", ended.stderr);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn no_more_pages_are_fetched_at_a_time_and_ctrl_c_finishes_those() {
    let _watchdog = watchdog();
    let door = Door::new();
    let inside = door.clone();
    let url = site(12, move || inside.pass());
    let mut crawl = Running::start(crawl().args([&url, "--in-flight", "3"]));
    door.wait_for(3);
    crawl.interrupt();
    crawl.says("stopping");
    door.open();
    let ended = crawl.end();
    assert!(ended.stderr.contains("4 pages, "), "{}", ended.stderr);
    assert!(
        ended.stderr.contains(" 0 failed, 9 left out, "),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.code, Some(1));
    assert_eq!(door.came(), 3);
}

#[test]
fn when_nobody_reads_any_more_the_rest_is_not_fetched() {
    let _watchdog = watchdog();
    // So many that no pause of who notices lets the others fetch them all.
    const PAGES: usize = 3_000;
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fetched);
    let url = site(PAGES, move || {
        count.fetch_add(1, Relaxed);
    });
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let output = crawl().arg(url).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert!(fetched.load(Relaxed) < PAGES);
}

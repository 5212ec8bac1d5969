//! Fetches files over HTTP, two at a time, and stops at the first that is missing.
//!
//! ```text
//! cargo run --release --example fetch -- FILE...
//! ```
//!
//! The server is the program's own: it has the files below the current directory, and no others.
//! The group's limit is for its sake. What has not begun when a file is missing is not asked for;
//! what was fetched by then is not lost. The exit code is 1 if anything was missing, and 2 for bad
//! arguments.

mod program;

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component::*, Path};
use std::process::ExitCode;
use std::{fs, thread};

use workcrew::ThreadPool;

const HELP: &str = "Usage: fetch FILE...\n\nFetches files over HTTP, from a server of its own.\n";

fn main() -> ExitCode {
    program::exit(run())
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let Some(names) = program::arguments(HELP)? else {
        return Ok(ExitCode::SUCCESS);
    };
    if names.is_empty() {
        return Err(program::misused("there is no FILE"));
    }
    let names: Result<Vec<_>, _> = names.into_iter().map(|it| it.into_string()).collect();
    let names = names.map_err(|name| program::misused(format!("{name:?} is not UTF-8")))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = serve(&client);
        }
    });

    let pool = ThreadPool::new(4)?;
    let outcome = pool.limited_group(2, |group| {
        for name in &names {
            group.spawn(move || fetch(address, name));
        }
    });
    let (files, stopped) = match outcome {
        Ok(files) => (files.into_iter().enumerate().collect(), None),
        Err(error) => (error.finished, Some((error.index, error.failure))),
    };
    for (index, file) in &files {
        writeln!(io::stdout(), "{:>9} {}", file.len(), names[*index])?;
    }
    let Some((index, why)) = stopped else {
        return Ok(ExitCode::SUCCESS);
    };
    let (name, fetched, all) = (&names[index], files.len(), names.len());
    eprintln!("fetch: {name}: {why}, after {fetched} of {all} files");
    Ok(ExitCode::FAILURE)
}

fn fetch(server: SocketAddr, name: &str) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(server)?;
    server.write_all(format!("GET /{name} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut server = BufReader::new(server);
    let mut status = String::new();
    server.read_line(&mut status)?;
    if status != "HTTP/1.0 200 OK\r\n" {
        let status = status.trim_start_matches("HTTP/1.0 ").trim_end();
        return Err(io::Error::other(status.to_owned()));
    }
    server.read_line(&mut status)?;
    let mut file = Vec::new();
    server.read_to_end(&mut file)?;
    Ok(file)
}

fn serve(mut client: &TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(client).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let name = request.strip_prefix("GET /").unwrap_or_default();
    let path = Path::new(name.trim_end_matches(" HTTP/1.0"));
    let is_below = path.components().all(|it| matches!(it, CurDir | Normal(_)));
    match is_below.then(|| fs::read(path)) {
        Some(Ok(file)) => client.write_all(&[&b"HTTP/1.0 200 OK\r\n\r\n"[..], &file].concat()),
        _ => client.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n"),
    }
}

//! As much of HTTP/1.1 as small servers need: one request for each connection.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::{fs, thread};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use workcrew::ThreadPool;

/// Bytes of the request's line and headers: more is no request.
const LONGEST_HEAD: usize = 16 * 1024;
/// As many headers as a request may have.
const MOST_HEADERS: usize = 64;
/// As many bytes of a request as are read when its response has been sent.
const LINGER: u64 = 256 * 1024;
/// What is escaped in the links to files.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// A request, whose body may still be on its way.
#[derive(Debug)]
pub struct Request {
    /// `GET` and the like.
    pub method: String,
    /// With the query, and escaped as it came.
    pub path: String,
    /// Bytes of the body, if the client told.
    pub length: Option<u64>,
    /// The client waits with its body until it is asked for it.
    asks_first: bool,
    /// What has come of the body already.
    ahead: Vec<u8>,
}

impl Request {
    /// Waits for a request's line and headers.
    ///
    /// # Errors
    ///
    /// If the client leaves, stalls for longer than the read timeout, or speaks another language.
    pub fn read(mut client: &TcpStream) -> io::Result<Self> {
        let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
        while head.len() < LONGEST_HEAD {
            match client.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                filled => head.extend_from_slice(&buffer[..filled]),
            }
            match Self::parse(&head) {
                Ok(None) => {}
                Ok(Some(request)) => return Ok(request),
                Err(error) => return Err(io::Error::new(ErrorKind::InvalidData, error)),
            }
        }
        Err(io::Error::new(ErrorKind::InvalidData, "endless headers"))
    }

    /// `None` if more is to come.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, httparse::Error> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(end) = request.parse(bytes)? else {
            return Ok(None);
        };
        let (method, path) = (request.method, request.path);
        let header = |name: &str| {
            let header = headers
                .iter()
                .find(|it| it.name.eq_ignore_ascii_case(name))?;
            str::from_utf8(header.value).ok()
        };
        Ok(Some(Self {
            method: method.unwrap_or_default().into(),
            path: path.unwrap_or_default().into(),
            length: header("content-length").and_then(|length| length.parse().ok()),
            asks_first: header("expect").is_some_and(|it| it.eq_ignore_ascii_case("100-continue")),
            ahead: bytes[end..].into(),
        }))
    }

    /// Waits for the body, and asks for it if need be. It is empty if the client told no length.
    ///
    /// # Errors
    ///
    /// As [`Request::read`].
    pub fn body(&self, mut client: &TcpStream) -> io::Result<Vec<u8>> {
        if self.asks_first {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = Vec::new();
        let length = self.length.unwrap_or_default();
        let ahead = (&*self.ahead).chain(client);
        if (ahead.take(length).read_to_end(&mut body)? as u64) < length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(body)
    }
}

/// Sends a response, the last one of its connection, with `headers` that end in a line break each.
///
/// # Errors
///
/// If the client leaves or stalls for longer than the write timeout.
pub fn respond(mut client: &TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    client.write_all(&[head.as_bytes(), headers.as_bytes(), b"\r\n", body].concat())?;
    client.shutdown(Shutdown::Write)?;
    // What is unread when the connection is dropped resets it, and the response may be lost.
    let _ = io::copy(&mut client.take(LINGER), &mut io::sink());
    Ok(())
}

/// Serves the files below `root` on a free port, some at a time, until the program ends. Returns
/// the address of the page that lists them. (Links to directories are left out, so that nobody
/// goes round in circles.)
///
/// # Errors
///
/// If it is no directory, or the system refuses.
pub fn serve_files(root: PathBuf, at_a_time: usize) -> io::Result<String> {
    if !root.is_dir() {
        return Err(io::Error::other(format!("{root:?}: no directory")));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let pool = ThreadPool::new(at_a_time)?;
    let root = Arc::new(root);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let root = Arc::clone(&root);
            let job = pool.execute(move || {
                let _ = serve_file(&client, &root);
            });
            job.expect("nobody closes the pool");
        }
    });
    Ok(format!("http://{address}/"))
}

fn serve_file(client: &TcpStream, root: &Path) -> io::Result<()> {
    let request = Request::read(client)?;
    let path = percent_decode_str(request.path.trim_start_matches('/')).decode_utf8_lossy();
    let inside = Path::new(&*path)
        .components()
        .all(|it| matches!(it, Component::Normal(_)));
    let file = root.join(&*path);
    let (kind, content) = match inside {
        true if file.is_dir() => ("text/html", list(&file)),
        true => ("application/octet-stream", fs::read(&file)),
        false => ("", Err(ErrorKind::NotFound.into())),
    };
    match content {
        Ok(content) => respond(
            client,
            "200 OK",
            &format!("Content-Type: {kind}\r\n"),
            &content,
        ),
        Err(_) => respond(client, "404 Not Found", "", b""),
    }
}

/// A page that links to what is in a directory.
fn list(folder: &Path) -> io::Result<Vec<u8>> {
    let mut page = String::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = utf8_percent_encode(name.to_str().unwrap_or_default(), ESCAPED);
        match entry.file_type()? {
            kind if kind.is_dir() => page += &format!("<a href=\"{name}/\">{name}/</a><br>\n"),
            _ if entry.path().is_dir() => {}
            _ => page += &format!("<a href=\"{name}\">{name}</a><br>\n"),
        }
    }
    Ok(page.into())
}

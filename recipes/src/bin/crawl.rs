//! Fetches a web page and all pages of its site that it leads to, a few at a time.
//!
//! ```text
//! cargo run --release -p workcrew-recipes --bin crawl -- [--in-flight N] [URL | DIR]
//! ```
//!
//! For the pattern's row "parallel I/O or network operations": the workers are the cap, and a page's
//! links are follow-up jobs (`Context::push`), so that the results end when the site does. Pages are
//! told as they come, and a page that is missing stops nothing. (`examples/fetch.rs` is a group,
//! which stops at the first error.) A DIR is served by the program itself, on a free port.
//!
//! Stdout has a line for each page, stderr what failed, and the totals. Ctrl-C finishes what is being
//! fetched. The exit code is 0, or 1 if anything is missing, or 2 for bad arguments.

use std::collections::HashSet;
use std::error::Error;
use std::io::{self, Write};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Parser;
use recipes::http::serve_files;
use regex::Regex;
use ureq::{Agent, ResponseExt};
use url::{Origin, Url};
use workcrew::{Context, JobError, WorkerPool};

/// The longest that fetching a page may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most bytes that a page may have.
const LONGEST: u64 = 64 << 20;

/// Fetches a web page and all pages of its site that it leads to.
#[derive(Parser)]
struct Arguments {
    /// Where to begin, or a directory that is served here
    #[arg(value_name = "URL | DIR", default_value = env!("CARGO_MANIFEST_DIR"))]
    start: String,
    /// Pages that are fetched at a time
    #[arg(long, value_name = "N", default_value = "8")]
    in_flight: NonZero<usize>,
}

fn main() -> ExitCode {
    recipes::exit("crawl", crawl(Arguments::parse()))
}

fn crawl(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let in_flight = arguments.in_flight.get();
    let start = match Url::parse(&arguments.start) {
        Ok(url) => url,
        Err(_) => Url::parse(&serve_files(arguments.start.into(), in_flight)?)?,
    };
    let site = Site {
        origin: start.origin(),
        seen: Mutex::new(HashSet::from([start.clone()])),
        agent: Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .build()
            .into(),
        links: Regex::new(r#"href="([^"]+)""#)?,
    };
    let (pool, results) =
        WorkerPool::builder()
            .workers(in_flight)
            .build(move |url: Url, ctx| {
                let fetched = site.fetch(&url, ctx).map_err(|error| error.to_string());
                (url, fetched)
            })?;
    let handle = pool.handle();
    recipes::on_ctrl_c(move || {
        let _ = handle.cancel_all();
    })?;

    let started = Instant::now();
    pool.submit(start)?;
    pool.close();
    let (mut pages, mut bytes, mut failed, mut left_out) = (0, 0, 0, 0);
    for outcome in results {
        match outcome.result {
            Ok((url, Ok(size))) => {
                writeln!(io::stdout(), "{size:>9} {url}").inspect_err(|_| {
                    // Nobody wants the rest.
                    let _ = pool.cancel_all();
                })?;
                pages += 1;
                bytes += size;
            }
            Ok((url, Err(error))) => {
                eprintln!("crawl: {url}: {error}");
                failed += 1;
            }
            Err(JobError::Cancelled) => left_out += 1,
            Err(panic) => return Err(panic.into()),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "crawl: {pages} pages, {bytes} bytes, {failed} failed, {left_out} left out, {seconds:.3} s"
    );
    Ok(failed + left_out == 0)
}

struct Site {
    origin: Origin,
    /// What was fetched or will be.
    seen: Mutex<HashSet<Url>>,
    agent: Agent,
    links: Regex,
}

impl Site {
    /// The job: returns the page's size, and makes a job of every link that is new.
    fn fetch(&self, url: &Url, ctx: &mut Context<'_, Url>) -> Result<usize, Box<dyn Error>> {
        let mut response = self.agent.get(url.as_str()).call()?;
        // Not always the one that was asked for.
        let url = Url::parse(&response.get_uri().to_string())?;
        let is_html = response.body().mime_type() == Some("text/html");
        let page = response
            .body_mut()
            .with_config()
            .limit(LONGEST)
            .read_to_vec()?;
        if is_html && !ctx.is_cancelled() {
            let text = String::from_utf8_lossy(&page);
            let mut seen = self.seen.lock().expect("nobody panics with it");
            for (_, [link]) in self.links.captures_iter(&text).map(|link| link.extract()) {
                let Ok(mut link) = url.join(&link.replace("&amp;", "&")) else {
                    continue;
                };
                link.set_fragment(None);
                if link.origin() == self.origin && seen.insert(link.clone()) {
                    ctx.push(link);
                }
            }
        }
        Ok(page.len())
    }
}

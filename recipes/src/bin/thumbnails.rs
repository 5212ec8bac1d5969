//! Thumbnails of all images below a path.
//!
//! ```text
//! cargo run --release -p workcrew-recipes --bin thumbnails -- [--workers N] [--size N] [--out DIR] [PATH]
//! ```
//!
//! For the pattern's row "batch processing of tasks". Without a PATH the program makes some images
//! first. No more images are in memory than there are workers. One that cannot be read is reported
//! and counted, and the others are made all the same.
//!
//! Stdout has how many were made, and where; stderr has a progress bar. Ctrl-C finishes those that
//! were begun. The exit code is 0, or 1 if an image has no thumbnail, or 2 for bad arguments.

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::{env, fs, num::NonZero};

use clap::Parser;
use image::{DynamicImage, ImageDecoder, ImageReader, Rgb, RgbImage};
use walkdir::{DirEntry, WalkDir};
use workcrew::WorkerPool;

/// Makes a thumbnail of every PNG and JPEG below PATH.
#[derive(Parser)]
struct Arguments {
    /// A directory or a file [default: images that the program makes in DIR/samples]
    path: Option<PathBuf>,
    /// Images that are in memory at a time
    #[arg(long, value_name = "N", default_value_t = recipes::cores())]
    workers: NonZero<usize>,
    /// Pixels of the longer side
    #[arg(long, value_name = "N", default_value = "128")]
    size: NonZero<u32>,
    /// Where the thumbnails go
    #[arg(long, value_name = "DIR", default_value_os_t = env::temp_dir().join("thumbnails"))]
    out: PathBuf,
}

fn main() -> ExitCode {
    recipes::exit("thumbnails", make_all(Arguments::parse()))
}

fn make_all(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let (out, size) = (arguments.out, arguments.size.get());
    let path = match arguments.path {
        Some(path) => path,
        None => make_samples(out.join("samples"))?,
    };
    let folder = path.ancestors().find(|it| it.is_dir());
    let (from, to) = (folder.unwrap_or(Path::new("")).to_owned(), out.clone());
    let (pool, mut results) = WorkerPool::builder()
        .workers(arguments.workers.get())
        .job_capacity(arguments.workers.get())
        .build(move |image: PathBuf, _| {
            let name = image.strip_prefix(&from).unwrap_or(&image);
            make(&image, &to.join(name), size).map_err(|error| format!("{image:?}: {error}"))
        })?;

    let (mut images, mut failures) = (Vec::new(), Vec::new());
    let entries = WalkDir::new(&path).into_iter();
    for entry in entries.filter_entry(|entry| entry.path() != out) {
        match entry {
            Ok(entry) if is_image(&entry) => images.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => failures.push(error.to_string()),
        }
    }
    let all = images.len();
    let mut made = 0;
    let bar = recipes::progress(all as u64);
    let stop = recipes::stop_flag()?;
    let images = images.into_iter().take_while(|_| !stop.load(Relaxed));
    for outcome in pool.map(&mut results, images) {
        match outcome.result {
            Ok(Ok(())) => made += 1,
            Ok(Err(error)) => failures.push(error),
            Err(panic) => failures.push(panic.to_string()),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    for failure in &failures {
        eprintln!("thumbnails: {failure}");
    }
    let (out, unreadable) = (out.display(), failures.len());
    let totals = format!("{made} of {all} thumbnails in {out}, {unreadable} unreadable");
    writeln!(io::stdout(), "{totals}")?;
    Ok(made == all && failures.is_empty())
}

fn is_image(entry: &DirEntry) -> bool {
    let extension = entry.path().extension().unwrap_or_default();
    let known = ["png", "jpg", "jpeg"];
    known.iter().any(|it| extension.eq_ignore_ascii_case(it)) && entry.path().is_file()
}

/// The job. The thumbnail is upright, and no larger than the image.
fn make(from: &Path, to: &Path, size: u32) -> Result<(), Box<dyn Error>> {
    let reader = ImageReader::open(from)?.with_guessed_format()?;
    let format = reader.format().ok_or("no image")?;
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    if image.width().max(image.height()) > size {
        image = image.thumbnail(size, size);
    }
    fs::create_dir_all(to.parent().ok_or("no name")?)?;
    Ok(image.save_with_format(to, format)?)
}

/// Gradients in several colours.
fn make_samples(folder: PathBuf) -> Result<PathBuf, Box<dyn Error>> {
    fs::create_dir_all(&folder)?;
    for (number, kind) in ["png", "jpg"].iter().cycle().take(12).enumerate() {
        let share = |part, whole| (part * 255 / whole) as u8;
        let colour = |x, y| Rgb([share(x, 320), share(y, 240), share(number as u32, 12)]);
        let image = RgbImage::from_fn(320, 240, colour);
        image.save(folder.join(format!("{number}.{kind}")))?;
    }
    Ok(folder)
}

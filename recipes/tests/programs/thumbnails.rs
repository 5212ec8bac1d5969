//! `thumbnails`: sizes, formats, and images that are none.

use crate::common::{eventually, watchdog};
use crate::folder;
use crate::program::{Running, run};
use image::{ImageFormat, ImageReader, RgbImage, Rgba, RgbaImage};
use std::fs;
use std::path::Path;
use std::process::Command;
use walkdir::WalkDir;

fn thumbnails(out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thumbnails"));
    command.arg("--out").arg(out);
    command
}

/// The format and the sides of an image.
fn looks(path: &Path) -> (ImageFormat, u32, u32) {
    let reader = ImageReader::open(path)
        .unwrap()
        .with_guessed_format()
        .unwrap();
    let format = reader.format().unwrap();
    let image = reader.decode().unwrap();
    (format, image.width(), image.height())
}

#[test]
fn images_get_small_ones_and_unreadable_ones_are_counted() {
    let _watchdog = watchdog();
    let folder = folder();
    let root = folder.path();
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    RgbImage::new(80, 40).save(root.join("wide.png")).unwrap();
    RgbImage::new(30, 90)
        .save(root.join("sub/deep/high.JPG"))
        .unwrap();
    RgbImage::new(5, 3).save(root.join("small.jpeg")).unwrap();
    // A PNG with transparency under a JPEG's name.
    let clear = RgbaImage::from_pixel(40, 40, Rgba([1, 2, 3, 4]));
    clear
        .save_with_format(root.join("other.jpg"), ImageFormat::Png)
        .unwrap();
    fs::write(root.join("notes.txt"), "no image").unwrap();
    let broken = fs::read(root.join("wide.png")).unwrap();
    fs::write(root.join("cut.png"), &broken[..broken.len() / 2]).unwrap();
    fs::write(root.join("sub/text.jpg"), "no image").unwrap();
    fs::write(root.join("empty.png"), "").unwrap();

    // Below PATH, and yet not among the images when it is there.
    let out = root.join("out");
    for _ in 0..2 {
        let ended = run(thumbnails(&out)
            .args(["--size", "20", "--workers", "3"])
            .arg(root));
        let summary = format!("4 of 7 thumbnails in {}, 3 unreadable\n", out.display());
        assert_eq!(ended.stdout, summary, "{}", ended.stderr);
        for name in ["cut.png", "text.jpg", "empty.png"] {
            let reports = ended.stderr.lines().filter(|line| line.contains(name));
            assert_eq!(reports.count(), 1, "{}", ended.stderr);
        }
        assert_eq!(ended.code, Some(1));
        assert_eq!(looks(&out.join("wide.png")), (ImageFormat::Png, 20, 10));
        assert_eq!(
            looks(&out.join("sub/deep/high.JPG")),
            (ImageFormat::Jpeg, 7, 20)
        );
        assert_eq!(looks(&out.join("small.jpeg")), (ImageFormat::Jpeg, 5, 3));
        assert_eq!(looks(&out.join("other.jpg")), (ImageFormat::Png, 20, 20));
    }
    let ended = run(thumbnails(&root.join("one")).arg(root.join("wide.png")));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(
        looks(&root.join("one/wide.png")),
        (ImageFormat::Png, 80, 40)
    );
    let ended = run(thumbnails(&out).arg(root.join("no such file")));
    assert!(ended.stdout.starts_with("0 of 0 ") && ended.stdout.ends_with(" 1 unreadable\n"));
    assert_eq!(ended.code, Some(1));
}

#[test]
fn without_a_path_it_makes_its_own_images() {
    let _watchdog = watchdog();
    let folder = folder();
    let ended = run(thumbnails(folder.path()).args(["--size", "32"]));
    assert!(
        ended.stdout.starts_with("12 of 12 thumbnails in "),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(
        looks(&folder.path().join("samples/0.png")),
        (ImageFormat::Png, 320, 240)
    );
    assert_eq!(
        looks(&folder.path().join("0.png")),
        (ImageFormat::Png, 32, 24)
    );
    assert_eq!(
        looks(&folder.path().join("11.jpg")),
        (ImageFormat::Jpeg, 32, 24)
    );
}

#[test]
fn ctrl_c_finishes_the_images_that_were_begun() {
    let _watchdog = watchdog();
    let folder = folder();
    let (images, out) = (folder.path().join("images"), folder.path().join("out"));
    fs::create_dir(&images).unwrap();
    // So many that no pause of this test lets it make them all.
    let all = 5_000;
    RgbImage::new(64, 64).save(images.join("0.png")).unwrap();
    for number in 1..all {
        fs::hard_link(images.join("0.png"), images.join(format!("{number}.png"))).unwrap();
    }
    let mut running = Running::start(thumbnails(&out).args(["--workers", "1"]).arg(&images));
    eventually("the first thumbnail", || out.is_dir());
    running.interrupt();
    running.says("stopping");
    let ended = running.end();
    let mut made = 0;
    for entry in WalkDir::new(&out).min_depth(1) {
        // None is half written.
        assert_eq!(looks(entry.unwrap().path()).0, ImageFormat::Png);
        made += 1;
    }
    assert!(made < all, "{made}");
    assert!(
        ended.stdout.starts_with(&format!("{made} of {all} ")),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.ends_with(", 0 unreadable\n"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.code, Some(1));
}

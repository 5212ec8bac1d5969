//! What is known of earlier runs.
//!
//! *Trials*, in the target folder: a run that was stopped goes on where it stood, and shards that
//! share the folder add up. They are of no use once any file has changed.
//!
//! *Swept*, in the repository: the files that a whole run has found in order, with a checksum of
//! each and of its models. CI tries the mutants of the others.

use super::{Trial, Verdict};
use crate::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

const SWEPT: &str = "loom-tests/swept.txt";

const SWEPT_HEAD: &str = "\
# Written by `cargo xtask mutants` when the mutants of all files have been found in order:
# each file, and a checksum of it and of its models. CI tries the mutants of the others.
";

/// FNV-1a: it tells texts apart, and is the same everywhere.
#[derive(Clone, Copy)]
pub(super) struct Checksum(u64);

impl Checksum {
    pub(super) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn add(&mut self, text: &str) {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// The trials of the copy with this checksum.
pub(super) struct Trials {
    file: PathBuf,
}

impl Trials {
    /// Opens the file, and reads what is known of this very copy. Models are known by their
    /// names.
    pub(super) fn open(
        work: &Path,
        copy: Checksum,
        number: impl Fn(&str) -> Option<usize>,
    ) -> Outcome<(Self, BTreeMap<usize, Trial>)> {
        let file = work.join("trials");
        let head = format!("{:016x}", copy.0);
        let text = fs::read_to_string(&file).unwrap_or_default();
        let mut lines = text.lines();
        if lines.next() != Some(&head) {
            fs::write(&file, head + "\n")
                .map_err(|error| format!("{}: {error}", file.display()))?;
            return Ok((Self { file }, BTreeMap::new()));
        }
        let parse = |line: &str| {
            let (id, trial) = line.split_once(' ')?;
            let mut known = Trial::new();
            for part in trial.split_whitespace() {
                let (model, verdict) = part.split_once('=')?;
                known.insert(number(model)?, Verdict::parse(verdict)?);
            }
            Some((id.parse().ok()?, known))
        };
        let known = lines.filter_map(parse).collect();
        Ok((Self { file }, known))
    }

    pub(super) fn add(&self, id: usize, trial: &Trial, name: impl Fn(usize) -> String) -> Outcome {
        let mut line = id.to_string();
        for (number, verdict) in trial {
            line += &format!(" {}={verdict:?}", name(*number));
        }
        let io = |error| format!("{}: {error}", self.file.display());
        let mut file = OpenOptions::new()
            .append(true)
            .open(&self.file)
            .map_err(io)?;
        // By one call, so that lines of several threads do not mix.
        file.write_all((line + "\n").as_bytes()).map_err(io)
    }
}

/// The files with mutants, and their checksums, that are not as they were when all was swept.
pub(super) fn changed<'a>(files: impl Iterator<Item = &'a str>) -> Outcome<BTreeSet<&'a str>> {
    let swept = fs::read_to_string(SWEPT).map_err(|error| format!("{SWEPT}: {error}"))?;
    let mut changed = BTreeSet::new();
    for file in files {
        if !swept
            .lines()
            .any(|line| line == entry(file).unwrap_or_default())
        {
            changed.insert(file);
        }
    }
    Ok(changed)
}

/// All is in order now.
pub(super) fn set_swept<'a>(files: impl Iterator<Item = &'a str>) -> Outcome {
    let entries: BTreeSet<_> = files.map(entry).collect::<Outcome<_>>()?;
    let mut text = SWEPT_HEAD.to_owned();
    for entry in entries {
        text += &(entry + "\n");
    }
    fs::write(SWEPT, text).map_err(|error| format!("{SWEPT}: {error}"))
}

fn entry(file: &str) -> Outcome<String> {
    let mut sum = Checksum::new();
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    sum.add(&read(file)?);
    let models = fs::read_dir("loom-tests").map_err(|error| format!("loom-tests: {error}"))?;
    let mut models: Vec<_> = models.flatten().map(|entry| entry.path()).collect();
    models.sort();
    for model in models {
        let stem = model.file_stem().unwrap_or_default().to_string_lossy();
        if file.contains(&*stem) {
            sum.add(&read(&model.to_string_lossy())?);
        }
    }
    Ok(format!("{file} {:016x}", sum.0))
}

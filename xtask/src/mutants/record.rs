//! What is known of earlier runs.
//!
//! *Trials*, in the target folder: a run that was stopped goes on where it stood, and shards that
//! share the folder add up. What the models said is known as long as the file and its models are
//! the same. What the ordinary tests said is asked anew.
//!
//! *Swept*, in the repository: the files that a whole run has found in order, with a checksum of
//! each and of its models. `--changed` tries the mutants of the others.

use super::instrument::Mutant;
use super::jury::{Jury, Trial};
use crate::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

const SWEPT: &str = "loom-tests/swept.txt";

const SWEPT_HEAD: &str = "\
# Written by `cargo xtask mutants` when the mutants of all files have been found in order:
# each file, and a checksum of it and of its models. `--changed` tries the mutants of the others.
";

/// FNV-1a: it tells texts apart, and is the same everywhere.
struct Checksum(u64);

impl Checksum {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, text: &str) {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A file of trials, a line each: the mutant's file with its checksum, the mutant, and what each
/// model said, by their names.
pub(super) struct Trials {
    file: PathBuf,
    /// Of each mutant, by its number: how its line begins.
    heads: BTreeMap<usize, String>,
    /// What was known before.
    pub(super) known: BTreeMap<usize, Trial>,
}

impl Trials {
    /// Opens the file, and reads what is known.
    pub(super) fn open(
        work: &Path,
        mutants: &[Mutant],
        entries: &Entries,
        jury: &Jury,
    ) -> Outcome<Self> {
        let file = work.join("trials");
        let mut heads = BTreeMap::new();
        let mut alike = BTreeMap::new();
        for mutant in mutants {
            let head = format!("{}\t{mutant}", entries[&*mutant.file]);
            let nth = alike.entry(head.clone()).or_insert(0);
            *nth += 1;
            heads.insert(mutant.id, format!("{head}\t{nth}"));
        }
        let text = fs::read_to_string(&file).unwrap_or_default();
        let lines: BTreeMap<_, _> = text
            .lines()
            .filter_map(|line| line.rsplit_once('\t'))
            .collect();
        let known = heads.iter().filter_map(|(id, head)| {
            let trial = lines.get(head.as_str())?;
            Some((*id, Trial::parse(trial, |name| jury.has_model(name))?))
        });
        let known = known.collect();
        Ok(Self { file, heads, known })
    }

    /// What the models have said.
    pub(super) fn add(&self, id: usize, trial: &Trial) -> Outcome {
        append(
            &self.file,
            &format!("{}\t{}", self.heads[&id], trial.to_line()),
        )
    }
}

pub(super) fn append(file: &Path, line: &str) -> Outcome {
    let mut open = OpenOptions::new();
    let open = open.create(true).append(true).open(file);
    // By one call, so that lines of several threads do not mix.
    open.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// The files with mutants that are not as they were when all was swept.
pub(super) fn changed(entries: &Entries) -> Outcome<BTreeSet<&str>> {
    let swept = fs::read_to_string(SWEPT).map_err(|error| format!("{SWEPT}: {error}"))?;
    let swept: BTreeSet<_> = swept.lines().collect();
    Ok(entries
        .iter()
        .filter(|(_, entry)| !swept.contains(entry.as_str()))
        .map(|(file, _)| &**file)
        .collect())
}

/// All was in order when the files were so.
pub(super) fn set_swept(entries: &Entries) -> Outcome {
    let mut text = SWEPT_HEAD.to_owned();
    for entry in entries.values() {
        text += &format!("{entry}\n");
    }
    fs::write(SWEPT, text).map_err(|error| format!("{SWEPT}: {error}"))
}

/// Each file with mutants, and what stands of it in the records.
pub(super) type Entries = BTreeMap<String, String>;

/// As the files are now.
pub(super) fn entries(mutants: &[Mutant]) -> Outcome<Entries> {
    let files: BTreeSet<&str> = mutants.iter().map(|mutant| &*mutant.file).collect();
    files
        .into_iter()
        .map(|file| Ok((file.to_owned(), entry(file)?)))
        .collect()
}

/// A checksum of all text in some folders.
pub(super) fn checksum(folders: &[PathBuf]) -> Outcome<u64> {
    let mut sum = Checksum::new();
    let mut paths = folders.to_vec();
    while let Some(path) = paths.pop() {
        let io = |error| format!("{}: {error}", path.display());
        if path.is_dir() {
            let entries = fs::read_dir(&path).map_err(io)?;
            let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            entries.sort();
            paths.extend(entries);
        } else {
            sum.add(&path.to_string_lossy());
            sum.add(&fs::read_to_string(&path).map_err(io)?);
        }
    }
    Ok(sum.0)
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

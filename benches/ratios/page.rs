//! `--report`: what was measured, as a page with tables and pictures in a folder of its own.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs, thread};

use workcrew_bench::figures::median;
use workcrew_bench::subject::{Kind, Subject};

use crate::bars::Stage;
use crate::plots;
use crate::record::{Against, CellRecord, Record, mean_over_workers};
use crate::workloads::Workload;

/// All that a page tells.
pub(crate) struct Page<'a> {
    pub(crate) record: &'a Record<'a>,
    pub(crate) subjects: &'a [&'a Subject],
    pub(crate) stages: &'a [Stage],
    /// How it was measured.
    pub(crate) remarks: &'a [String],
}

impl Page<'_> {
    /// Writes `README.md`, `samples.csv` and the pictures.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(folder)?;
        self.record.write_csv(&folder.join("samples.csv"))?;
        let pictures = plots::draw_all(folder, self.record, self.subjects)?;
        fs::write(folder.join("README.md"), self.text(&pictures)?)?;
        Ok(())
    }

    fn text(&self, pictures: &[plots::Picture]) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        writeln!(
            text,
            "# Benchmarks on {}\n\nWritten by `cargo xtask bench`; [samples.csv](samples.csv) has every sample. \
             The rules of the comparison, and what each workload is, stand at the head of `benches/src/lib.rs`.\n",
            machine()
        )?;
        for remark in self.remarks {
            writeln!(text, "* {remark}")?;
        }
        for picture in pictures {
            let plots::Picture { file, caption } = picture;
            writeln!(text, "\n{caption}:\n\n![{caption}]({file})")?;
        }
        writeln!(
            text,
            "\n## Workloads\n\nMedians over the rounds, for each number of workers. *Ratio*: a peer's value to ours, \
             the median over the rounds; above 1 ours is better. *Mean*: the geometric mean of that over the \
             numbers of workers, bold where a peer is ahead. W8 and W10 have three rounds.\n\n\
             | workload | workers | | ours | the best peer in each | its value | ratio | mean |\n\
             |---|---|---|---|---|---|---|---|"
        )?;
        for (workload, cells) in self.record.workloads() {
            for own in self.subjects.iter().filter(|one| one.kind == Kind::Own) {
                if let Some(row) = row(workload, cells, own.name) {
                    writeln!(text, "{row}")?;
                }
            }
        }
        for Stage { name, bars } in self.stages {
            writeln!(
                text,
                "\n## Bars of the stage \"{name}\"\n\n| | what | bar | measured |\n|---|---|---|---|"
            )?;
            for bar in bars {
                let (measured, verdict) = bar.verdict();
                let (what, bar) = (&bar.what, &bar.bar);
                writeln!(text, "| {verdict} | {what} | {bar} | {measured} |")?;
            }
        }
        Ok(text)
    }
}

/// Such as "x86_64 linux, 2 cores".
fn machine() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!("{} {}, {cores} cores", env::consts::ARCH, env::consts::OS)
}

/// One of us beside the best peers; nothing if it took no part, or alone.
fn row(workload: &Workload, cells: &[CellRecord<'_>], own: &str) -> Option<String> {
    let best = Against::BestPeer;
    let each = |numbers: &dyn Fn(&CellRecord<'_>) -> Option<f64>| -> Option<String> {
        let numbers: Option<Vec<_>> = cells.iter().map(numbers).collect();
        let texts = numbers?.into_iter().map(short);
        Some(texts.collect::<Vec<_>>().join(" / "))
    };
    let value = |cell: &CellRecord<'_>, subject| {
        cell.all(subject, |figures| figures.value)
            .map(|values| median(&values))
    };
    let ours = each(&|cell| value(cell, own))?;
    let theirs = each(&|cell| value(cell, cell.peer(best)?))?;
    let (ratios, mean) = if workload.value.is_time() {
        let ratios = each(&|cell| Some(median(&cell.ratios(best, own)?)))?;
        let mean = mean_over_workers(cells, |cell| cell.ratios(best, own))?;
        let bold = if mean < 0.995 { "**" } else { "" };
        (ratios, format!("{bold}{mean:.2}{bold}"))
    } else {
        // Nothing may be what is divided by.
        Default::default()
    };
    let workers = cells.iter().map(|cell| cell.workers().to_string());
    let workers = workers.collect::<Vec<_>>().join(" / ");
    let peers: Vec<_> = cells.iter().filter_map(|cell| cell.peer(best)).collect();
    let peers = match peers.as_slice() {
        [first, others @ ..] if others.iter().all(|peer| peer == first) => (*first).to_owned(),
        each => each.join(" / "),
    };
    let (name, unit) = (&workload.name, workload.value.unit());
    Some(format!(
        "| {name}, {unit} | {workers} | {own} | {ours} | {peers} | {theirs} | {ratios} | {mean} |"
    ))
}

/// With three digits or so.
pub(crate) fn short(number: f64) -> String {
    match number {
        _ if number < 0.1 => format!("{number:.4}"),
        _ if number < 10.0 => format!("{number:.2}"),
        _ if number < 100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

//! `--report`: what was measured, as a page with tables and pictures in a folder of its own.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use workcrew_bench::figures::median;
use workcrew_bench::subject::{Kind, Subject};

use crate::bars::Stage;
use crate::plots;
use crate::record::{Against, CellRecord, Record, mean_over_workers};
use crate::report::short;
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
    /// Writes `README.md`, `samples.csv` and the pictures into the folder of a machine.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(folder)?;
        self.record.write_csv(&folder.join("samples.csv"))?;
        let pictures = plots::draw_all(folder, self.record, self.subjects)?;
        let machine = folder.file_name().unwrap_or_default().to_string_lossy();
        fs::write(folder.join("README.md"), self.text(&machine, &pictures)?)?;
        Ok(())
    }

    fn text(&self, machine: &str, pictures: &[plots::Picture]) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        writeln!(
            text,
            "# Benchmarks on {machine}\n\nWritten by `cargo xtask bench`; [samples.csv](samples.csv) has every sample. \
             The rules of the comparison, and what each workload is, stand at the head of `benches/src/lib.rs`.\n"
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
             numbers of workers, bold where a peer is ahead. What takes seconds, or has no bar, has fewer rounds.\n\n\
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

/// One of us beside the best peers; nothing if it took no part, or alone.
fn row(workload: &Workload, cells: &[CellRecord<'_>], own: &str) -> Option<String> {
    let best = Against::BestPeer;
    let each = |numbers: &dyn Fn(&CellRecord<'_>) -> Option<f64>| -> Option<String> {
        let numbers: Option<Vec<_>> = cells.iter().map(numbers).collect();
        let texts = numbers?.into_iter().map(short);
        Some(texts.collect::<Vec<_>>().join(" / "))
    };
    let ours = each(&|cell| cell.median(own))?;
    let theirs = each(&|cell| cell.median(cell.peer(best)?))?;
    let (ratios, mean) = if workload.value.is_time() {
        let ratios = each(&|cell| Some(median(&cell.ratios(best, own)?)))?;
        let mean = mean_over_workers(cells, |cell| cell.ratios(best, own))?;
        // As it is printed.
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

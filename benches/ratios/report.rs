//! The tables of values and ratios.

use workcrew_bench::figures::{median, range};
use workcrew_bench::subject::{Kind, Subject};

use crate::record::{Against, CellRecord, Figures, Record, Value, mean_over_workers};
use crate::workloads::Workload;

/// Width of the first column and of the others.
const NAME: usize = 22;
const NUMBER: usize = 25;

/// From so many nanoseconds on the cores are far from each other: not halves of one core.
const FAR: f64 = 150.0;

/// How far apart the cores were.
pub(crate) fn distances(distances: &[f64]) -> String {
    let far = distances.iter().filter(|&&nanos| nanos >= FAR).count();
    format!(
        "A cache line took {} ns to the other core and back; the cores were far apart, from {FAR} ns on, before {far} of \
         {} samples.",
        spread(distances),
        distances.len()
    )
}

/// Prints a block of tables for each workload.
pub(crate) fn print(record: &Record<'_>, subjects: &[&Subject]) {
    for (workload, cells) in record.workloads() {
        print_values(workload, cells, subjects);
        if workload.value.is_time() {
            for own in subjects.iter().filter(|subject| subject.kind == Kind::Own) {
                if cells.iter().any(|cell| cell.samples(own.name).is_some()) {
                    print_ratios(cells, own.name, subjects);
                }
            }
        }
        if workload.compares_cpu_time() {
            print_cpu_time(cells, subjects);
        }
        println!();
    }
}

fn print_values(workload: &Workload, cells: &[CellRecord<'_>], subjects: &[&Subject]) {
    println!("## {}: {}", workload.name, workload.value.unit());
    print_head("median (min..max)", cells);
    for subject in subjects {
        print_numbers(subject.name, cells, |cell| {
            cell.all(subject.name, |figures| figures.value)
        });
        match workload.value {
            Value::RoundTrip => print_numbers("  99th percentile", cells, |cell| {
                cell.all(subject.name, Figures::p99)
            }),
            Value::Allocations => print_numbers("  bytes", cells, |cell| {
                cell.all(subject.name, |figures| figures.bytes)
            }),
            Value::WallTime
            | Value::Program
            | Value::IdleCpu
            | Value::CpuPerJob
            | Value::Heap(_) => {}
        }
    }
}

fn print_ratios(cells: &[CellRecord<'_>], own: &str, subjects: &[&Subject]) {
    println!();
    print_head(&format!("peer / {own}"), cells);
    for subject in subjects {
        if matches!(subject.kind, Kind::Peer | Kind::Go) {
            print_ratio(subject.name, cells, |cell| {
                cell.ratios(Against::Peer(subject.name), own)
            });
        }
    }
    print_ratio("best peer", cells, |cell| {
        cell.ratios(Against::BestPeer, own)
    });
}

fn print_cpu_time(cells: &[CellRecord<'_>], subjects: &[&Subject]) {
    println!();
    print_head("CPU time / jobs alone", cells);
    for subject in subjects {
        if subject.kind != Kind::PlainLoop {
            print_ratio(subject.name, cells, |cell| cell.cpu_ratios(subject.name));
        }
    }
}

fn print_head(what: &str, cells: &[CellRecord<'_>]) {
    print!("{what:NAME$}");
    for cell in cells {
        let workers = cell.workers();
        let plural = if workers == 1 { "" } else { "s" };
        print!("{:>NUMBER$}", format!("{workers} worker{plural}"));
    }
    println!();
}

/// Prints a row of medians and ranges, unless it would be empty.
fn print_numbers<'a>(
    name: &str,
    cells: &[CellRecord<'a>],
    numbers: impl Fn(&CellRecord<'a>) -> Option<Vec<f64>>,
) {
    if let Some(row) = row(name, cells, numbers) {
        println!("{row}");
    }
}

/// The same, with the geometric mean over the cells behind it.
fn print_ratio<'a>(
    name: &str,
    cells: &[CellRecord<'a>],
    ratios: impl Fn(&CellRecord<'a>) -> Option<Vec<f64>>,
) {
    if let Some(row) = row(name, cells, &ratios) {
        let mean = mean_over_workers(cells, &ratios);
        let mean = mean.map_or_else(String::new, |mean| format!("   mean {mean:.2}"));
        println!("{row}{mean}");
    }
}

fn row<'a>(
    name: &str,
    cells: &[CellRecord<'a>],
    numbers: impl Fn(&CellRecord<'a>) -> Option<Vec<f64>>,
) -> Option<String> {
    let numbers: Vec<_> = cells.iter().map(numbers).collect();
    if numbers.iter().all(Option::is_none) {
        return None;
    }
    let mut row = format!("{name:NAME$}");
    for numbers in numbers {
        let text = numbers.map_or_else(String::new, |numbers| spread(&numbers));
        row.push_str(&format!("{text:>NUMBER$}"));
    }
    Some(row)
}

/// The median and the range of some numbers, with three digits or so.
pub(crate) fn spread(numbers: &[f64]) -> String {
    let (min, max) = range(numbers);
    let middle = median(numbers);
    let digits = digits(middle, max);
    format!("{middle:.digits$} ({min:.digits$}..{max:.digits$})")
}

/// One number, in the same way.
pub(crate) fn short(number: f64) -> String {
    let digits = digits(number, number);
    format!("{number:.digits$}")
}

fn digits(middle: f64, largest: f64) -> usize {
    match middle {
        _ if largest < 0.1 => 4,
        _ if middle < 10.0 => 2,
        _ if middle < 100.0 => 1,
        _ => 0,
    }
}

//! `cargo bench -p workcrew-bench --bench ratios`: `workcrew` beside its peers, interleaved, and the bars.
//!
//! The rules of the comparison stand in the documentation of the `workcrew_bench` library.

mod bars;
mod futex;
mod options;
mod page;
mod plots;
mod record;
mod report;
mod workloads;

use std::process::ExitCode;

use workcrew_bench::allocations::{self, CountingAllocator};
use workcrew_bench::gauge::Gauge;
use workcrew_bench::go_pool;
use workcrew_bench::job::Speed;
use workcrew_bench::rng::SplitMix;
use workcrew_bench::subject::{Kind, SUBJECTS, Subject};
use workcrew_bench::watchdog;

use crate::options::{Command, Options};
use crate::page::Page;
use crate::record::Record;
use crate::workloads::MILLISECOND;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    match options::parse() {
        Ok(Command::Measure(options)) => return measure(&options),
        Ok(Command::FutexChild(child)) => child.run(),
        Ok(Command::Help) => println!("{}", options::HELP),
        Ok(Command::Nothing) => println!("ratios: measures only under `cargo bench`"),
        Err(error) => {
            eprintln!("{error}\n\n{}", options::HELP);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(options: &Options) -> ExitCode {
    let speed = Speed::measure();
    let steps_per_milli = speed.steps(MILLISECOND);
    let mut gauge = Gauge::new(steps_per_milli);
    let mut rng = SplitMix::new(options.seed);
    let subjects = subjects(options);
    let cells = workloads::cells(options, speed);
    if cells.is_empty() && !options.wants_workload(futex::NAME) {
        let names = workloads::names().join(", ");
        eprintln!("no such workload; there are {names}, {}", futex::NAME);
        return ExitCode::FAILURE;
    }
    let how = format!(
        "{} rounds, seed {}, a step of a job takes {:.2} ns.",
        options.rounds,
        options.seed,
        speed.nanos_per_step()
    );
    println!("{how}");

    let mut record = Record::new(&cells);
    for round in 0..options.rounds {
        for (number, cell) in cells.iter().enumerate() {
            if round >= cell.workload.rounds_at_most {
                continue;
            }
            eprint!("\r\x1b[Kround {} of {}: {cell}", round + 1, options.rounds);
            let mut order: Vec<&Subject> = subjects
                .iter()
                .copied()
                .filter(|subject| cell.workload.admits(subject))
                .collect();
            rng.shuffle(&mut order);
            for subject in order {
                allocations::set_counting(cell.workload.value.needs_counts());
                let sample = gauge.steady(|| {
                    let label = format!("{} in {cell}", subject.name);
                    watchdog::watch(label, || subject.sample(&cell.task))
                });
                allocations::set_counting(false);
                record.add(number, subject, &sample);
            }
        }
    }
    eprint!("\r\x1b[K");
    let futex_calls = futex::count(options, &subjects, speed);

    report::print(&record, &subjects);
    futex_calls.print();
    let stages = bars::stages(&record, &futex_calls);
    let mut remarks = vec![
        how,
        format!(
            "A core was missing: {} samples were taken again, {} were kept all the same.",
            gauge.retaken(),
            gauge.disturbed()
        ),
        report::distances(&record.distances()),
    ];
    println!("{}\n{}\n", remarks[1], remarks[2]);
    remarks.extend(options.remark.clone());
    bars::print(&stages);
    let page = Page {
        record: &record,
        subjects: &subjects,
        stages: &stages,
        remarks: &remarks,
    };
    let csv = options.csv.as_ref();
    let report = options.report.as_ref();
    let written = [
        csv.map(|path| (path, record.write_csv(path).map_err(Into::into))),
        report.map(|folder| (folder, page.write(folder))),
    ];
    let mut code = ExitCode::SUCCESS;
    for (path, written) in written.into_iter().flatten() {
        if let Err(error) = written {
            eprintln!("{} could not be written: {error}", path.display());
            code = ExitCode::FAILURE;
        } else {
            println!("Written: {}.", path.display());
        }
    }
    code
}

/// The subjects asked for, without those whose tools are missing.
fn subjects(options: &Options) -> Vec<&'static Subject> {
    SUBJECTS
        .iter()
        .filter(|subject| options.wants_subject(subject))
        .filter(|subject| subject.kind != Kind::Go || go_is_there())
        .collect()
}

fn go_is_there() -> bool {
    match go_pool::program() {
        Ok(_) => true,
        Err(reason) => {
            println!("SKIPPED: the Go program; {reason}");
            false
        }
    }
}

//! `simulation`: the same output whoever does what, and the right one.

use crate::common::watchdog;
use crate::folder;
use crate::program::run;
use std::fs;
use std::process::Command;

fn simulation() -> Command {
    Command::new(env!("CARGO_BIN_EXE_simulation"))
}

#[test]
fn the_output_does_not_depend_on_the_workers() {
    let _watchdog = watchdog();
    let folder = folder();
    let outputs = ["1", "2", "5"].map(|workers| {
        let plot = folder.path().join(workers);
        let options = [
            "--steps", "4", "--seeds", "3", "--side", "8", "--sweeps", "50",
        ];
        let ended = run(simulation()
            .args(options)
            .args(["--workers", workers, "--plot"])
            .arg(&plot));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        (ended.stdout, fs::read_to_string(plot).unwrap())
    });
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(outputs[0], outputs[2]);
    let (table, plot) = &outputs[0];
    let temperatures = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().next().unwrap());
    assert!(
        temperatures.eq(["1.500", "2.000", "2.500", "3.000", "3.500"]),
        "{table}"
    );
    // A point for each temperature, and one curve.
    assert!(
        plot.starts_with("<svg ") && plot.ends_with("</svg>\n"),
        "{plot}"
    );
    assert_eq!(plot.matches("<circle ").count(), 5);
    assert!(plot.matches("<polyline ").count() >= 1);
}

#[test]
fn cold_magnets_are_as_theory_says_and_hot_ones_are_none() {
    let _watchdog = watchdog();
    let ended = run(simulation().args(["--steps", "1", "--side", "16", "--sweeps", "500"]));
    let number = |word: &str| word.parse::<f64>().unwrap();
    let lines: Vec<Vec<_>> = ended
        .stdout
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().map(number).collect())
        .collect();
    let [cold, hot] = &lines[..] else {
        panic!("{}", ended.stdout)
    };
    assert_eq!((cold[0], cold[2]), (1.5, 0.9865));
    assert!((cold[1] - cold[2]).abs() < 0.005, "{cold:?}");
    // Chance leaves some, in a lattice so small.
    assert_eq!((hot[0], hot[2]), (3.5, 0.0));
    assert!(hot[1] < 0.25, "{hot:?}");
}

#[test]
fn a_plot_that_cannot_be_written_costs_no_table() {
    let _watchdog = watchdog();
    let options = ["--steps", "1", "--seeds", "1", "--sweeps", "1"];
    let ended = run(simulation()
        .args(options)
        .args(["--plot", "no such folder/plot"]));
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("no such folder/plot"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
}

//! A magnet that is heated: the Ising model on a square lattice, at some temperatures.
//!
//! ```text
//! cargo run --release -p workcrew-recipes --bin simulation -- [OPTION...]
//! ```
//!
//! For the pattern's row "CPU-bound or time-consuming workloads". A job is one run at one
//! temperature, with a seed of its own, so that the output does not depend on which worker does what:
//! `outcome.index` says where a result belongs. Each worker keeps a lattice for all its jobs.
//!
//! Stdout has a table, of means over the seeds beside the exact values for an endless lattice
//! (Onsager, Yang), and `--plot FILE` has the same as an SVG. Stderr has a progress bar. Ctrl-C
//! finishes the runs that were begun, and shows them. The exit code is 0, or 1 if runs are missing,
//! or 2 for bad arguments.

use std::error::Error;
use std::io::{self, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

use clap::Parser;
use fastrand::Rng;
use plotters::prelude::*;
use workcrew::WorkerPool;

/// Simulates a magnet that is heated.
#[derive(Parser)]
struct Arguments {
    /// Runs at a time
    #[arg(long, value_name = "N", default_value_t = recipes::cores())]
    workers: NonZero<usize>,
    /// Steps from temperature 1.5 (in units of the coupling) to 3.5
    #[arg(long, value_name = "N", default_value = "20")]
    steps: NonZero<u8>,
    /// Runs at each temperature
    #[arg(long, value_name = "N", default_value = "4")]
    seeds: NonZero<u8>,
    /// Spins on a side of the lattice
    #[arg(long, value_name = "N", default_value = "32")]
    side: NonZero<u8>,
    /// Looks at each spin in a run; the first fifth does not count
    #[arg(long, value_name = "N", default_value = "2000")]
    sweeps: NonZero<u32>,
    /// Where the plot goes
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

fn main() -> ExitCode {
    recipes::exit("simulation", simulate(&Arguments::parse()))
}

fn simulate(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let (steps, seeds) = (arguments.steps.get(), arguments.seeds.get().into());
    let (side, sweeps) = (arguments.side.get().into(), arguments.sweeps.get());
    let (pool, mut results) = WorkerPool::builder()
        .workers(arguments.workers.get())
        .job_capacity(arguments.workers.get())
        .init(move |_worker| vec![1; side * side])
        .build(move |(at, seed), ctx| run(ctx.state, side, sweeps, at, seed))?;

    let temperatures = (0..=steps).map(|step| 1.5 + 2.0 * f64::from(step) / f64::from(steps));
    let jobs = temperatures.clone().flat_map(|at| vec![at; seeds]);
    let mut runs = vec![None; temperatures.len() * seeds];
    let bar = recipes::progress(runs.len() as u64);
    let stop = recipes::stop_flag()?;
    let jobs = jobs.zip(0..).take_while(|_| !stop.load(Relaxed));
    for outcome in pool.map(&mut results, jobs) {
        runs[outcome.index as usize] = Some(outcome.result?);
        bar.inc(1);
    }
    bar.finish_and_clear();

    let mut points = Vec::new();
    let mut table = "temperature  magnetisation  exact\n".to_owned();
    for (at, runs) in temperatures.zip(runs.chunks(seeds)) {
        // All of them, or none.
        if let Some(sum) = runs.iter().copied().sum::<Option<f64>>() {
            let mean = sum / seeds as f64;
            table += &format!("{at:>11.3}  {mean:>13.4}  {:.4}\n", exact(at));
            points.push((at, mean));
        }
    }
    // Neither is lost if the other fails.
    let plotted = arguments.plot.as_ref().map_or(Ok(()), |path| {
        plot(path, &points).map_err(|error| format!("{path:?}: {error}"))
    });
    io::stdout().write_all(table.as_bytes())?;
    plotted?;
    Ok(runs.iter().all(Option::is_some))
}

/// The job: the mean magnetisation of a spin.
fn run(spins: &mut [i32], side: usize, sweeps: u32, temperature: f64, seed: u64) -> f64 {
    let (mut rng, all, mut sum) = (Rng::with_seed(seed), spins.len(), 0);
    spins.fill(1);
    for sweep in 0..sweeps {
        for at in 0..all {
            let (row, column) = (at / side * side, at % side);
            let [left, right] = [column + side - 1, column + 1].map(|at| spins[row + at % side]);
            let [above, below] = [at + all - side, at + side].map(|at| spins[at % all]);
            let cost = f64::from(2 * spins[at] * (left + right + above + below));
            // As likely as such an energy is at this temperature (Metropolis).
            if rng.f64() < (-cost / temperature).exp() {
                spins[at] = -spins[at];
            }
        }
        if sweep >= sweeps / 5 {
            sum += u64::from(spins.iter().sum::<i32>().unsigned_abs());
        }
    }
    sum as f64 / (f64::from(sweeps - sweeps / 5) * all as f64)
}

/// The magnetisation of an endless lattice.
fn exact(temperature: f64) -> f64 {
    let ordered = 1.0 - (2.0 / temperature).sinh().powi(-4);
    ordered.max(0.0).powf(0.125)
}

fn plot(path: &Path, points: &[(f64, f64)]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (800, 500)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area);
    chart.margin(20).x_label_area_size(40).y_label_area_size(50);
    let mut chart = chart.build_cartesian_2d(1.4..3.6, 0.0..1.05)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("temperature").y_desc("magnetisation").draw()?;
    let curve = (140..=360).map(|at| f64::from(at) / 100.0);
    let curve = curve.map(|at| (at, exact(at)));
    chart.draw_series(LineSeries::new(curve, &BLACK))?;
    let circles = points
        .iter()
        .map(|&point| Circle::new(point, 4, RED.filled()));
    chart.draw_series(circles)?;
    Ok(area.present()?)
}

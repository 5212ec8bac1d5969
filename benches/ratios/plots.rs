//! The pictures of a [page](crate::page).

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use workcrew_bench::figures::{geometric_mean, median};
use workcrew_bench::subject::{Kind, SUBJECTS, Subject};

use crate::record::{Against, CellRecord, PERCENTILES, Record};
use crate::report::short;
use crate::workloads::Axis;

/// Pixels of one panel.
const PANEL: (u32, u32) = (480, 340);

/// As many peers as a panel has room for.
const PEERS: usize = 4;

/// A picture that was drawn.
pub(crate) struct Picture {
    pub(crate) file: &'static str,
    pub(crate) caption: &'static str,
}

/// Lines over the same labels.
struct Panel {
    title: String,
    labels: Vec<String>,
    lines: Vec<Line>,
}

struct Line {
    name: &'static str,
    values: Vec<f64>,
}

type Drawn<T = ()> = Result<T, Box<dyn Error>>;

/// Draws what of the pictures was measured.
pub(crate) fn draw_all(
    folder: &Path,
    record: &Record<'_>,
    subjects: &[&Subject],
) -> Drawn<Vec<Picture>> {
    let pictures = [
        (
            "ratios.svg",
            "The best peer's time to that of workcrew, by what a job costs",
            "ratio",
            ratios(record, subjects),
        ),
        (
            "latencies.svg",
            "Round trips of one job with one worker, by percentile, and those of the best peers",
            "µs",
            latencies(record, subjects),
        ),
        (
            "growth.svg",
            "What an empty job costs with more threads, larger queues, larger jobs and more of them, and what with the best peers",
            "ns per job",
            growth(record, subjects),
        ),
    ];
    let mut drawn = Vec::new();
    for (file, caption, unit, mut panels) in pictures {
        panels.retain(|panel| !panel.lines.is_empty());
        if !panels.is_empty() {
            draw(&folder.join(file), unit, &panels)?;
            drawn.push(Picture { file, caption });
        }
    }
    Ok(drawn)
}

/// A panel for each number of workers, a line for each way of submitting.
fn ratios(record: &Record<'_>, subjects: &[&Subject]) -> Vec<Panel> {
    let costs = ["empty", "100ns", "1us", "10us"];
    let mut panels = Vec::new();
    for queues in ["W1b-1024", "W1a"] {
        let workloads = costs.map(|cost| format!("{queues}/{cost}"));
        for cell in record.cells(&workloads[0]) {
            let workers = cell.workers();
            let cells: Option<Vec<_>> = workloads
                .iter()
                .map(|workload| record.cell(workload, workers))
                .collect();
            let Some(cells) = cells else { continue };
            let own = subjects.iter().filter(|one| one.kind == Kind::Own);
            let lines = own.filter_map(|own| {
                let ratio = |cell: &&CellRecord<'_>| {
                    Some(median(&cell.ratios(Against::BestPeer, own.name)?))
                };
                Line::of(own.name, cells.iter().map(ratio))
            });
            panels.push(Panel {
                title: format!("{queues}, workers: {workers}"),
                labels: costs.map(str::to_owned).to_vec(),
                lines: lines.collect(),
            });
        }
    }
    panels
}

fn latencies(record: &Record<'_>, subjects: &[&Subject]) -> Vec<Panel> {
    let workloads = ["W4-hot", "W4-idle", "W4-hot-handle", "W4-idle-handle"];
    let panels = workloads.iter().filter_map(|workload| {
        let cell = record.cell(workload, 1)?;
        let line = |subject: &Subject| {
            let samples = cell.samples(subject.name)?;
            let percentile = |at: usize| {
                let all: Vec<_> = samples.iter().map(|figures| figures.trips[at]).collect();
                Some(median(&all))
            };
            Line::of(subject.name, (0..PERCENTILES.len()).map(percentile))
        };
        Some(Panel {
            title: (*workload).to_owned(),
            labels: PERCENTILES.map(|percent| percent.to_string()).to_vec(),
            lines: best(subjects, line),
        })
    });
    panels.collect()
}

fn growth(record: &Record<'_>, subjects: &[&Subject]) -> Vec<Panel> {
    let panels = Axis::lines().into_iter().filter_map(|points| {
        // Those that were measured.
        let (points, cells): (Vec<_>, Vec<_>) = points
            .into_iter()
            .filter_map(|point| Some((point, record.cell(&point.workload(), point.workers())?)))
            .unzip();
        let line = |subject: &Subject| {
            let values = cells.iter().map(|cell| cell.median(subject.name));
            Line::of(subject.name, values)
        };
        Some(Panel {
            title: points.first()?.title().to_owned(),
            labels: points.iter().map(|point| point.label()).collect(),
            lines: best(subjects, line),
        })
    });
    panels.collect()
}

impl Line {
    /// Nothing unless each value is there.
    fn of(name: &'static str, values: impl Iterator<Item = Option<f64>>) -> Option<Self> {
        Some(Self {
            name,
            values: values.collect::<Option<_>>()?,
        })
    }
}

/// Our own lines, and those of the peers that are best on the whole.
fn best(subjects: &[&Subject], line: impl Fn(&Subject) -> Option<Line>) -> Vec<Line> {
    let lines = |own: bool| {
        let subjects = subjects.iter().filter(move |subject| match subject.kind {
            Kind::Own => own,
            Kind::Peer | Kind::Go => !own,
            Kind::PlainLoop => false,
        });
        subjects.filter_map(|subject| line(subject))
    };
    let mut peers: Vec<_> = lines(false).collect();
    peers.sort_by(|one, other| {
        geometric_mean(&one.values).total_cmp(&geometric_mean(&other.values))
    });
    peers.truncate(PEERS);
    lines(true).chain(peers).collect()
}

/// Two panels in a row, the values on a logarithmic scale.
fn draw(path: &Path, unit: &str, panels: &[Panel]) -> Drawn {
    let columns = panels.len().min(2);
    let rows = panels.len().div_ceil(columns);
    let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((rows, columns)).iter().zip(panels) {
        let values = panel
            .lines
            .iter()
            .flat_map(|line| line.values.iter().copied());
        let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let labels = &panel.labels;
        let mut chart = ChartBuilder::on(area)
            .caption(&panel.title, ("sans-serif", 16))
            .margin(8)
            .margin_right(24)
            .x_label_area_size(24)
            .y_label_area_size(56)
            .build_cartesian_2d(
                0..(labels.len() - 1).max(1),
                (low / 1.2..high * 1.6).log_scale().base(2.0),
            )?;
        chart
            .configure_mesh()
            .x_labels(labels.len())
            .y_labels(6)
            .x_label_formatter(&|at| labels.get(*at).cloned().unwrap_or_default())
            .y_label_formatter(&|value| short(*value))
            .y_desc(unit)
            .light_line_style(TRANSPARENT)
            .draw()?;
        for line in &panel.lines {
            // The same color in all pictures.
            let number = SUBJECTS
                .iter()
                .position(|subject| subject.name == line.name);
            let style = Palette99::pick(number.expect("one of all")).stroke_width(2);
            let points = line.values.iter().copied().enumerate();
            chart
                .draw_series(LineSeries::new(points, style).point_size(3))?
                .label(line.name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .draw()?;
    }
    root.present()?;
    Ok(())
}

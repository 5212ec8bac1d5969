//! A trace as a picture: a lane for each worker, time from left to right.
//!
//! What is at least a pixel wide is drawn as it is. Of what is narrower each column of pixels
//! sums up how much of it is filled, and neighbours that are about equally full become one bar:
//! the fuller, the darker. So the picture stays small, whatever the number of events.

#![forbid(unsafe_code)]

use super::{Trace, TraceEvent, TraceKind};
use crate::tally::Ended;
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

/// All in pixels. The lanes' time begins at the left margin.
const LEFT: f64 = 130.0;
const WIDTH: f64 = 1000.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 46.0;
const LANE: f64 = 30.0;
const PITCH: f64 = 44.0;
const BOTTOM: f64 = 40.0;

/// Shades of what is drawn together.
const SHADES: f64 = 5.0;

const JOB: &str = "#2f6fb3";
const PANICKED: &str = "#c8352b";
const CANCELLED: &str = "#8d99a6";
const PARK: &str = "#dde6ef";
const BATCH: &str = "#123a66";
const STEAL: &str = "#e08a00";

pub(super) fn write(trace: &Trace, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    let view = View::of(trace);
    let lanes = TOP + PITCH * trace.workers() as f64;
    let (width, height) = (LEFT + WIDTH + RIGHT, lanes + BOTTOM);
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="sans-serif" font-size="12" fill="#333">
<rect width="{width}" height="{height}" fill="#fff"/>"##
    )?;
    legend(&mut out, trace, &view)?;
    axis(&mut out, &view, lanes)?;
    for worker in 0..trace.workers() {
        lane(&mut out, trace, &view, worker)?;
    }
    writeln!(out, "</svg>")?;
    out.flush()
}

/// The part of time that is shown.
struct View {
    start: f64,
    end: f64,
}

impl View {
    /// From where all lanes are complete to the end.
    fn of(trace: &Trace) -> Self {
        let complete_since = |worker: usize| match trace.overwritten[worker] {
            0 => None,
            _ => trace.lane(worker).next().map(|event| event.start),
        };
        let start = (0..trace.workers()).filter_map(complete_since).max();
        let start = nanos(start.unwrap_or_default());
        // Not empty, even if nothing has happened.
        let end = nanos(trace.end()).max(start + 1.0);
        Self { start, end }
    }

    fn span(&self) -> f64 {
        self.end - self.start
    }

    /// Pixels from the left margin, within the lanes.
    fn x(&self, nanos: f64) -> f64 {
        ((nanos - self.start) / self.span() * WIDTH).clamp(0.0, WIDTH)
    }

    fn shows(&self, event: &TraceEvent) -> bool {
        event.end.is_none_or(|end| nanos(end) > self.start)
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// A length of time for people.
struct Time {
    nanos: f64,
    /// The unit, in nanoseconds, and its name.
    unit: (f64, &'static str),
    decimals: usize,
}

impl Time {
    /// To the precision of `step`.
    fn in_steps_of(nanos: f64, step: f64, span: f64) -> Self {
        const UNITS: [(f64, &str); 4] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
        let unit = UNITS.into_iter().find(|(unit, _)| *unit <= span);
        let unit = unit.unwrap_or(UNITS[3]);
        let decimals = (unit.0 / step).log10().ceil().max(0.0) as usize;
        Self {
            nanos,
            unit,
            decimals,
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, name) = self.unit;
        write!(f, "{:.*} {name}", self.decimals, self.nanos / size)
    }
}

/// What the picture is about, and what its colours mean.
fn legend(out: &mut impl Write, trace: &Trace, view: &View) -> io::Result<()> {
    let workers = trace.workers();
    let time = Time::in_steps_of(view.span(), view.span() / 1000.0, view.span());
    write!(
        out,
        r#"<text x="12" y="24"><tspan font-weight="bold">workcrew</tspan> {workers} workers, {time}"#
    )?;
    if trace.overwritten() > 0 {
        write!(out, ", the last events")?;
    }
    writeln!(out, "</text>")?;
    let marks = [
        (JOB, 10.0, "job"),
        (PANICKED, 10.0, "panicked"),
        (CANCELLED, 10.0, "cancelled"),
        (PARK, 10.0, "asleep"),
        (BATCH, 3.0, "batch"),
        (STEAL, 3.0, "steal"),
    ];
    let mut x = LEFT + WIDTH - 96.0 * marks.len() as f64;
    for (colour, width, word) in marks {
        let text = x + width + 6.0;
        writeln!(
            out,
            r#"<rect x="{x}" y="14" width="{width}" height="10" fill="{colour}"/><text x="{text}" y="23">{word}</text>"#
        )?;
        x += 96.0;
    }
    Ok(())
}

/// Times at round distances, with lines through all lanes.
fn axis(out: &mut impl Write, view: &View, bottom: f64) -> io::Result<()> {
    let rough = view.span() / 10.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|round| round * power);
    let step = step
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    let first = (view.start / step).ceil() as u64;
    let last = (view.end / step).floor() as u64;
    for number in first..=last {
        let at = number as f64 * step;
        let x = LEFT + view.x(at);
        let time = Time::in_steps_of(at, step, view.span());
        writeln!(
            out,
            r##"<path d="M{x:.1} {top}V{line}" stroke="#ccc"/><text x="{x:.1}" y="{text}" text-anchor="middle">{time}</text>"##,
            top = TOP - 6.0,
            line = bottom + 2.0,
            text = bottom + 18.0,
        )?;
    }
    Ok(())
}

/// Everything that one worker did.
fn lane(out: &mut impl Write, trace: &Trace, view: &View, worker: usize) -> io::Result<()> {
    let y = TOP + PITCH * worker as f64;
    let (mut jobs, mut busy) = (0, 0.0);
    let mut narrow = [(PARK, Columns::new()), (JOB, Columns::new())];
    let [parks, short_jobs] = &mut narrow;
    writeln!(
        out,
        r##"<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{LANE}" fill="#fafafa" stroke="#ddd"/>"##
    )?;
    // Where the last marks stand: they need not stand upon each other.
    let (mut last_batch, mut last_steal) = (-1.0, -1.0);
    for event in trace.lane(worker).filter(|event| view.shows(event)) {
        let end = event.end.map_or(view.end, nanos);
        let (left, right) = (view.x(nanos(event.start)), view.x(end));
        match event.kind {
            TraceKind::Job { index, ended, .. } => {
                jobs += 1;
                busy += right - left;
                let (colour, how) = match ended {
                    None => (JOB, ", running"),
                    Some(Ended::Completed) => (JOB, ""),
                    Some(Ended::Panicked) => (PANICKED, ", panicked"),
                    Some(Ended::Cancelled) => (CANCELLED, ", cancelled"),
                };
                if right - left < 1.0 && colour == JOB {
                    short_jobs.1.add(left, right);
                } else {
                    let lasted = end - nanos(event.start);
                    let time = Time::in_steps_of(lasted, lasted / 1000.0, lasted);
                    let bar = Bar::new(left, right, y, colour);
                    writeln!(out, "{bar}><title>job {index}: {time}{how}</title></rect>")?;
                }
            }
            TraceKind::Park { .. } if right - left < 1.0 => parks.1.add(left, right),
            TraceKind::Park { .. } => writeln!(out, "{}/>", Bar::new(left, right, y, PARK))?,
            TraceKind::Batch { .. } if left - last_batch < 1.0 => {}
            TraceKind::Batch { jobs } => {
                last_batch = left;
                mark(out, left, y - 4.0, BATCH, format_args!("batch of {jobs}"))?;
            }
            TraceKind::Steal { .. } if left - last_steal < 1.0 => {}
            TraceKind::Steal { jobs, victim } => {
                last_steal = left;
                let top = y + LANE - 2.0;
                mark(
                    out,
                    left,
                    top,
                    STEAL,
                    format_args!("{jobs} stolen from worker {victim}"),
                )?;
            }
        }
    }
    for (colour, columns) in &narrow {
        for (left, right, shade) in columns.runs() {
            let bar = Bar::new(left, right, y, colour);
            writeln!(out, r#"{bar} fill-opacity="{shade:.1}"/>"#)?;
        }
    }
    writeln!(
        out,
        r##"<text x="12" y="{name}" font-weight="bold">worker {worker}</text><text x="12" y="{numbers}" font-size="10" fill="#666">{jobs} jobs, {busy:.0} % busy</text>"##,
        name = y + 13.0,
        numbers = y + 26.0,
        busy = busy / WIDTH * 100.0,
    )
}

/// An event that takes no time.
fn mark(
    out: &mut impl Write,
    x: f64,
    y: f64,
    colour: &str,
    what: fmt::Arguments<'_>,
) -> io::Result<()> {
    let x = LEFT + x - 0.5;
    writeln!(
        out,
        r#"<rect x="{x:.1}" y="{y}" width="1.5" height="6" fill="{colour}"><title>{what}</title></rect>"#
    )
}

/// The beginning of a rectangle in a lane, up to what follows its last attribute.
struct Bar<'a> {
    x: f64,
    width: f64,
    y: f64,
    colour: &'a str,
}

impl<'a> Bar<'a> {
    fn new(left: f64, right: f64, y: f64, colour: &'a str) -> Self {
        let width = right - left;
        // A gap between neighbours, where there is room for one.
        let gap = if width > 3.0 { 0.5 } else { 0.0 };
        Self {
            x: LEFT + left,
            width: (width - gap).max(1.0),
            y,
            colour,
        }
    }
}

impl fmt::Display for Bar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            x,
            width,
            y,
            colour,
        } = self;
        write!(
            f,
            r#"<rect x="{x:.1}" y="{y}" width="{width:.1}" height="{LANE}" fill="{colour}""#
        )
    }
}

/// How much of each column of pixels is filled by what is narrower.
struct Columns(Vec<f64>);

impl Columns {
    fn new() -> Self {
        Self(vec![0.0; WIDTH as usize])
    }

    /// `right` is in the same column as `left`, or the next one.
    fn add(&mut self, left: f64, right: f64) {
        let column = (left as usize).min(self.0.len() - 1);
        let border = column as f64 + 1.0;
        self.0[column] += right.min(border) - left;
        if let Some(next) = self.0.get_mut(column + 1) {
            *next += (right - border).max(0.0);
        }
    }

    /// Neighbours of one shade: where they begin and end, and the shade, more than 0 to 1.
    fn runs(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        let shades = self
            .0
            .iter()
            .map(|filled| (filled * SHADES).ceil().min(SHADES));
        let shades: Vec<_> = shades.collect();
        let mut x = 0;
        let runs: Vec<_> = shades
            .chunk_by(|one, next| one == next)
            .map(|run| {
                let left = x;
                x += run.len();
                (left as f64, x as f64, run[0] / SHADES)
            })
            .collect();
        runs.into_iter().filter(|(_, _, shade)| *shade > 0.0)
    }
}

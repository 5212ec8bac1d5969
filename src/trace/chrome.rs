//! A trace as JSON in Chrome's "Trace Event Format", which Perfetto reads.
//!
//! Every value is a number or one of our own words, so nothing need be escaped.

#![forbid(unsafe_code)]

use super::{Trace, TraceEvent, TraceKind};
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

pub(super) fn write(trace: &Trace, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    write!(
        out,
        r#"{{"displayTimeUnit":"ns","traceEvents":[
{{"ph":"M","pid":1,"name":"process_name","args":{{"name":"workcrew"}}}}"#
    )?;
    for worker in 0..trace.workers() {
        write!(
            out,
            ",\n{{\"ph\":\"M\",\"pid\":1,\"tid\":{worker},\"name\":\"thread_name\",\
             \"args\":{{\"name\":\"worker {worker}\"}}}}"
        )?;
    }
    for event in trace.events() {
        write!(out, ",\n{}", Entry(event))?;
    }
    writeln!(out, "\n]}}")?;
    out.flush()
}

/// One event as an object.
struct Entry<'a>(&'a TraceEvent);

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceEvent {
            worker, start, end, ..
        } = *self.0;
        let start_us = Micros(start);
        write!(f, r#"{{"pid":1,"tid":{worker},"ts":{start_us}"#)?;
        match (self.0.kind, end) {
            (TraceKind::Job { .. } | TraceKind::Park { .. }, Some(end)) => {
                let lasted = Micros(end.saturating_sub(start));
                write!(f, r#","ph":"X","dur":{lasted}"#)?;
            }
            // It goes on.
            (TraceKind::Job { .. } | TraceKind::Park { .. }, None) => write!(f, r#","ph":"B""#)?,
            (TraceKind::Batch { .. } | TraceKind::Steal { .. }, _) => {
                write!(f, r#","ph":"i","s":"t""#)?;
            }
        }
        match self.0.kind {
            TraceKind::Job {
                index,
                follow_up,
                ended,
            } => {
                write!(
                    f,
                    r#","name":"job {index}","cat":"job","args":{{"index":{index},"#
                )?;
                write!(f, r#""follow_up":{follow_up},"ended":"#)?;
                match ended {
                    Some(ended) => write!(f, r#""{ended:?}"}}"#)?,
                    None => write!(f, "null}}")?,
                }
            }
            TraceKind::Batch { jobs } => {
                write!(
                    f,
                    r#","name":"batch","cat":"batch","args":{{"jobs":{jobs}}}"#
                )?;
            }
            TraceKind::Steal { jobs, victim } => {
                write!(
                    f,
                    r#","name":"steal","cat":"steal","args":{{"jobs":{jobs},"#
                )?;
                write!(f, r#""victim":{victim}}}"#)?;
            }
            TraceKind::Park { woken } => {
                write!(
                    f,
                    r#","name":"park","cat":"park","args":{{"woken":{woken}}}"#
                )?;
            }
        }
        write!(f, "}}")
    }
}

/// Microseconds, to the nanosecond.
struct Micros(Duration);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        write!(f, "{}.{:03}", nanos / 1000, nanos % 1000)
    }
}

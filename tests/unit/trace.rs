use super::*;
use crate::track::OPEN;
use roxmltree::Document;
use serde_json::Value;

/// A clock of nanoseconds.
fn trace(lanes: &[(u64, &[[u64; 3]])], now: u64) -> Trace {
    let readings = lanes.iter().map(|(overwritten, events)| Reading {
        overwritten: *overwritten,
        events: events.to_vec(),
    });
    Trace::new(readings.collect(), now, |time| time)
}

/// Two workers that do one of everything.
fn one_of_each() -> Trace {
    let first = [
        [encode::PARK, 100, encode::park_end(1_000, true)],
        [encode::batch(3), 1_000, encode::end(1_000)],
        [
            encode::job(5, false),
            1_000,
            encode::job_end(500_000, Ended::Completed),
        ],
        [
            encode::job(6, false),
            500_000,
            encode::job_end(700_000, Ended::Panicked),
        ],
        [
            encode::job(7, false),
            700_000,
            encode::job_end(800_000, Ended::Cancelled),
        ],
        [encode::job(8, true), 900_000, OPEN],
    ];
    let second = [
        [encode::steal(2, 0), 600_000, encode::end(600_000)],
        [
            encode::job(9, false),
            600_500,
            encode::job_end(601_234, Ended::Completed),
        ],
        [encode::PARK, 650_000, OPEN],
    ];
    trace(&[(0, &first), (0, &second)], 1_000_000)
}

fn json(trace: &Trace) -> Vec<Value> {
    let mut text = Vec::new();
    trace.write_chrome_json(&mut text).unwrap();
    let mut json: Value = serde_json::from_slice(&text).unwrap();
    match json["traceEvents"].take() {
        Value::Array(events) => events,
        other => panic!("{other}"),
    }
}

fn svg(trace: &Trace) -> String {
    let mut text = Vec::new();
    trace.write_svg(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn events_come_out_of_their_words_as_they_went_in() {
    let events = one_of_each();
    let kinds: Vec<_> = events.events().iter().map(|event| event.kind).collect();
    let job = |index, follow_up, ended| TraceKind::Job {
        index,
        follow_up,
        ended,
    };
    assert_eq!(
        kinds,
        [
            TraceKind::Park { woken: true },
            TraceKind::Batch { jobs: 3 },
            job(5, false, Some(Ended::Completed)),
            job(6, false, Some(Ended::Panicked)),
            job(7, false, Some(Ended::Cancelled)),
            job(8, true, None),
            TraceKind::Steal { jobs: 2, victim: 0 },
            job(9, false, Some(Ended::Completed)),
            TraceKind::Park { woken: false },
        ]
    );
    let times = |event: &TraceEvent| (event.worker, event.start, event.end);
    let nanos = Duration::from_nanos;
    assert_eq!(
        times(&events.events()[0]),
        (0, nanos(100), Some(nanos(1_000)))
    );
    assert_eq!(times(&events.events()[8]), (1, nanos(650_000), None));
    let (index, victim) = (u64::MAX >> 3, 65_533);
    let words = [encode::job(index, true), 1, OPEN];
    assert_eq!(encode::decode(words).0, job(index, true, None));
    let words = [encode::steal(64, victim), 1, encode::end(1)];
    assert_eq!(
        encode::decode(words).0,
        TraceKind::Steal { jobs: 64, victim }
    );
}

#[test]
fn the_json_has_what_perfetto_wants() {
    let events = json(&one_of_each());
    let of = |phase: &'static str| events.iter().filter(move |event| event["ph"] == phase);
    assert!(events.iter().all(|event| event["pid"] == 1));
    let threads = of("M").filter(|event| event["name"] == "thread_name");
    let names: Vec<_> = threads
        .map(|event| (&event["tid"], &event["args"]["name"]))
        .collect();
    assert_eq!(
        names,
        [
            (&0.into(), &"worker 0".into()),
            (&1.into(), &"worker 1".into())
        ]
    );
    let whole: Vec<_> = of("X")
        .map(|event| (&event["name"], &event["tid"]))
        .collect();
    let (park, [five, six, seven, nine]) = (
        "park".into(),
        [5, 6, 7, 9].map(|job| format!("job {job}").into()),
    );
    let (zero, one) = (&0.into(), &1.into());
    assert_eq!(
        whole,
        [
            (&park, zero),
            (&five, zero),
            (&six, zero),
            (&seven, zero),
            (&nine, one)
        ]
    );
    let last = of("X").next_back().unwrap();
    assert_eq!(
        (last["ts"].as_f64(), last["dur"].as_f64()),
        (Some(600.5), Some(0.734))
    );
    assert_eq!(
        last["args"],
        serde_json::json!({"index": 9, "follow_up": false, "ended": "Completed"})
    );
    let open: Vec<_> = of("B")
        .map(|event| (&event["name"], &event["dur"]))
        .collect();
    assert_eq!(
        open,
        [(&"job 8".into(), &Value::Null), (&park, &Value::Null)]
    );
    let moments: Vec<_> = of("i")
        .map(|event| (&event["name"], &event["args"]["jobs"]))
        .collect();
    assert_eq!(
        moments,
        [(&"batch".into(), &3.into()), (&"steal".into(), &2.into())]
    );
}

/// Its colour, its left side, and what it says of itself.
type Bar = (String, f64, f64, String);

/// The bars of one lane of the picture.
fn bars(picture: &Document<'_>, worker: usize) -> Vec<Bar> {
    let number = |node: &roxmltree::Node<'_, '_>, name| -> f64 {
        node.attribute(name).unwrap().parse().unwrap()
    };
    let lane = format!("{}", 46 + 44 * worker);
    let rects = picture
        .descendants()
        .filter(|node| node.has_tag_name("rect"));
    let rects = rects.filter(|node| node.attribute("y") == Some(&lane));
    rects
        .skip(1)
        .map(|node| {
            let title = node.first_element_child().and_then(|title| title.text());
            let fill = node.attribute("fill").unwrap().to_owned();
            let says = title.unwrap_or_default().to_owned();
            (fill, number(&node, "x"), number(&node, "width"), says)
        })
        .collect()
}

#[test]
fn a_picture_has_a_bar_for_each_job_and_sleep() {
    let text = svg(&one_of_each());
    let picture = Document::parse(&text).unwrap();
    let first = bars(&picture, 0);
    let titles: Vec<_> = first.iter().map(|bar| bar.3.as_str()).collect();
    assert_eq!(
        titles,
        [
            "job 5: 499.0 µs",
            "job 6: 200.0 µs, panicked",
            "job 7: 100.0 µs, cancelled",
            "job 8: 100.0 µs, running",
            // The sleep of 0.9 µs, narrower than a pixel.
            "",
        ]
    );
    // A thousand pixels are a millisecond.
    let place = |bar: &Bar| (bar.1, bar.2);
    assert_eq!(place(&first[0]), (131.0, 498.5));
    assert_eq!(place(&first[1]), (630.0, 199.5));
    let colours: std::collections::BTreeSet<_> = first.iter().map(|bar| &bar.0).collect();
    assert_eq!(
        colours.len(),
        4,
        "jobs, panics, cancelled jobs and sleeps differ"
    );
    let second = bars(&picture, 1);
    assert_eq!(
        place(&second[0]),
        (780.0, 349.5),
        "the sleep goes on to the end"
    );
    let titles = picture
        .descendants()
        .filter(|node| node.has_tag_name("title"));
    let marks: Vec<_> = titles.filter_map(|title| title.text()).collect();
    assert!(marks.contains(&"batch of 3"));
    assert!(marks.contains(&"2 stolen from worker 0"));
}

/// 100,000 jobs in 1,000 columns: half of the time in the first half, all of it in the other.
#[test]
fn what_is_narrower_than_a_pixel_is_drawn_together() {
    let jobs: Vec<_> = (0..100_000)
        .map(|job| {
            let start = 10 + 10 * job;
            let end = start + if job < 50_000 { 5 } else { 10 };
            [
                encode::job(job, false),
                start,
                encode::job_end(end, Ended::Completed),
            ]
        })
        .collect();
    let text = svg(&trace(&[(0, &jobs)], 0));
    assert!(text.len() < 10_000, "{} bytes", text.len());
    let picture = Document::parse(&text).unwrap();
    let bars = bars(&picture, 0);
    let wide: Vec<_> = bars.iter().filter(|bar| bar.2 > 10.0).collect();
    assert_eq!(wide.len(), 2, "{bars:?}");
    assert!(
        wide.iter().all(|bar| (480.0..=501.0).contains(&bar.2)),
        "{wide:?}"
    );
    let shade = |opacity: &str| text.contains(&format!("fill-opacity=\"{opacity}\""));
    assert!(shade("0.6") && shade("1.0"), "half full is lighter");
    assert!(text.contains("100000 jobs, 75 % busy"), "{text}");
}

#[test]
fn a_picture_begins_where_all_lanes_are_complete() {
    let job = |index, start| {
        [
            encode::job(index, false),
            start,
            encode::job_end(start + 100, Ended::Completed),
        ]
    };
    let first: Vec<_> = (0..10).map(|index| job(index, 100 * index)).collect();
    let text = svg(&trace(&[(0, &first), (3, &[job(10, 500)])], 0));
    assert!(text.contains("the last events"));
    let picture = Document::parse(&text).unwrap();
    // Job 4 ends where the picture begins.
    assert_eq!(bars(&picture, 0).len(), 5);
    assert!(text.contains("5 jobs, 100 % busy"), "{text}");
    assert_eq!(bars(&picture, 1)[0].1, 130.0);
}

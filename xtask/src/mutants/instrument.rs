//! The copy of the crate in which every mutant sleeps until it is called by number.
//!
//! Mutants are found by the shape of a line, so that new code is covered without a
//! word here. The source is formatted by rustfmt, which makes shapes few.
//!
//! A line whose comment says `Hint:` only saves time: without it, or with Relaxed for its
//! orderings, the code would still be right. Such lines are no mutants of their own. They
//! are left out all at once, and then no model may turn red.

use super::VARIABLE;
use crate::Outcome;
use std::path::Path;
use std::{fmt, fs, io};

/// What a build of the models and of the ordinary tests needs.
const PARTS: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "loom-tests",
    "tests",
    "xtask",
    "benches",
    "recipes",
    "broker",
];

/// Files that are no part of a protocol, or (sync) are loom's side of it. The last ones
/// loom does not see: what one taker's or one owner's thread does alone, and scopes of threads.
/// The tests in `tests/contract`, `tests/thread_pool` and `tests/properties` are for these.
const NOT_MUTATED: &[&str] = &[
    "src/bench.rs",
    "src/meter.rs",
    "src/probe.rs",
    "src/recorder/",
    "src/sync/",
    "src/trace/",
    "src/thread_pool/fork_join.rs",
    "src/thread_pool/slices.rs",
    "src/worker_pool/in_order.rs",
    "src/worker_pool/map.rs",
    "src/worker_pool/try_map.rs",
    "src/worker_pool/scope.rs",
];

/// Of `src/sync` these are, as far as loom sees them.
const BARRIERS: &[&str] = &["src/sync/barrier.rs", "src/sync/barrier/modes.rs"];

/// What the comment above a line says that only saves time.
const HINT: &str = "Hint: ";

/// What the variable is set to when all hints are left out.
pub(super) const ALL_HINTS: &str = "hints=";

/// A statement that calls one of these is left out.
const CALLS: &[&str] = &[
    "light",
    "heavy",
    "full",
    "split_light",
    "split_heavy",
    "notify",
    "notify_all",
    "notify_one",
    "wake",
    "wake_all",
    "unpark",
    "hurry",
    "call_or_wake",
    "admit",
    "give",
    "publish",
    "count",
    "contest",
    "fetch_max",
    "swallow",
    "discard_all",
    "leave",
    "found",
    "store",
    "close",
    "skip",
    "push",
    "resume",
    "end",
    "set_deferred",
    "begin_search",
    "settle",
    "sweep",
    "add_below",
    "remove",
    "start",
    "finish",
    "announce",
    "give_back",
    "revoke",
    "taker_came",
    "taker_left",
    "abandon",
    "thread_ends",
    "one_has_ended",
    "run_if_queued",
];

/// A condition that asks one of these is false, or the line's part of it.
const QUESTIONS: &[&str] = &[
    "contest",
    "has_work",
    "has_work_for",
    "has_published",
    "published_behind",
    "is_contested",
    "nobody_takes",
    "is_drained",
    "is_halted",
    "is_asleep",
    "called",
    "is_empty",
    "hurry",
    "is_revoked",
    "want_sweep",
    "forget_recalls",
    "are_used",
    "fetch_sub",
    "covers",
    "untaken",
    "reserved",
];

/// One change of one line.
pub(super) struct Mutant {
    pub(super) id: usize,
    pub(super) file: String,
    function: String,
    /// `code: Old -> New`, or `skip: code`.
    change: String,
    /// The new ordering, if it is one.
    ordering: Option<&'static str>,
    /// The names in square brackets in the comment above.
    edges: Vec<String>,
}

/// A row of an edge table.
pub(super) struct Edge {
    file: String,
    name: String,
    pub(super) models: Vec<String>,
}

impl Mutant {
    /// What the allow-list knows it by: no line number, which would not last.
    pub(super) fn key(&self) -> String {
        format!("{} | {} | {}", self.file, self.function, self.change)
    }

    /// What the variable is set to.
    pub(super) fn value(&self) -> String {
        format!("{}={}", self.id, self.ordering.unwrap_or_default())
    }

    /// Whether it leaves a line out, or a part of it.
    pub(super) fn is_left_out(&self) -> bool {
        self.ordering.is_none()
    }

    /// An edge may have its other end in another file of the module. (There no two edges have the
    /// same name.)
    pub(super) fn is_on(&self, edge: &Edge) -> bool {
        let is_near = Path::new(&self.file).parent() == Path::new(&edge.file).parent();
        is_near && self.edges.contains(&edge.name)
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.file, self.name)
    }
}

/// Copies the workspace to `folder`, instrumented.
pub(super) fn copy_to(folder: &Path) -> Outcome<(Vec<Mutant>, Vec<Edge>)> {
    let (mut mutants, mut edges) = (Vec::new(), Vec::new());
    let mut files = Vec::new();
    for part in PARTS {
        list(part, &mut files).map_err(|error| format!("{part}: {error}"))?;
    }
    files.sort();
    for file in files {
        let io = |error| format!("{file}: {error}");
        let mut text = fs::read_to_string(&file).map_err(io)?;
        let excluded = NOT_MUTATED.iter().any(|prefix| file.starts_with(prefix));
        if file.starts_with("src/") && (BARRIERS.contains(&&*file) || !excluded) {
            edges.extend(edge_table(&file, &text));
            text = instrument(&file, &text, &mut mutants);
        }
        if file == "src/sync/mod.rs" {
            text += &switch();
        }
        let to = folder.join(&file);
        // What has not changed need not be built again.
        if fs::read_to_string(&to).ok().as_ref() != Some(&text) {
            fs::create_dir_all(to.parent().unwrap_or(folder)).map_err(io)?;
            fs::write(&to, text).map_err(io)?;
        }
    }
    Ok((mutants, edges))
}

fn list(path: &str, files: &mut Vec<String>) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        list(
            &format!("{path}/{}", entry?.file_name().to_string_lossy()),
            files,
        )?;
    }
    Ok(())
}

/// The code that the instrumented lines call.
fn switch() -> String {
    format!(
        r#"
pub(crate) mod mutants {{
    use super::Ordering;
    static CHOSEN: std::sync::LazyLock<(usize, String)> = std::sync::LazyLock::new(|| {{
        let chosen = std::env::var("{VARIABLE}").unwrap_or_default();
        let (id, to) = chosen.split_once('=').unwrap_or_default();
        (id.parse().unwrap_or(usize::MAX), to.to_owned())
    }});
    pub(crate) fn is(id: usize) -> bool {{
        CHOSEN.0 == id
    }}
    /// Whether hints are left out.
    pub(crate) fn no_hints() -> bool {{
        static CHOSEN: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {{
            std::env::var("{VARIABLE}").is_ok_and(|chosen| chosen == "{ALL_HINTS}")
        }});
        *CHOSEN
    }}
    pub(crate) fn hint(old: Ordering) -> Ordering {{
        if no_hints() {{ Ordering::Relaxed }} else {{ old }}
    }}
    /// The mutants of one ordering have numbers in a row, from `id` on.
    pub(crate) fn ordering(id: usize, count: usize, old: Ordering) -> Ordering {{
        if CHOSEN.0 < id || CHOSEN.0 >= id + count {{
            return old;
        }}
        match CHOSEN.1.as_str() {{
            "Relaxed" => Ordering::Relaxed,
            "Acquire" => Ordering::Acquire,
            "Release" => Ordering::Release,
            "AcqRel" => Ordering::AcqRel,
            other => panic!("no ordering: {{other}}"),
        }}
    }}
}}
"#
    )
}

/// The orderings that are one step weaker.
fn weaker(ordering: &str) -> &'static [&'static str] {
    match ordering {
        "Acquire" | "Release" => &["Relaxed"],
        "AcqRel" => &["Acquire", "Release"],
        "SeqCst" => &["AcqRel"],
        _ => &[],
    }
}

fn edge_table(file: &str, text: &str) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut in_table = false;
    for line in text.lines() {
        let Some(row) = line.strip_prefix("//! |") else {
            in_table = false;
            continue;
        };
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        if let [name, .., models, ""] = cells.as_slice() {
            in_table |= *models == "loom model";
            if in_table && name.starts_with('`') {
                let models = models.split(',').map(|model| model.trim());
                edges.push(Edge {
                    file: file.to_owned(),
                    name: name.trim_matches('`').to_owned(),
                    models: models
                        .filter(|model| model.starts_with('`'))
                        .map(|model| model.trim_matches('`').to_owned())
                        .collect(),
                });
            }
        }
    }
    edges
}

/// Whether what follows an attribute is not built for the models.
fn is_left_out(attribute: &str) -> bool {
    let off = attribute.contains("not(workcrew_loom)") && !attribute.starts_with("#[cfg(not(all(");
    attribute.starts_with("#[cfg(") && (attribute.contains("test") || off)
}

fn instrument(file: &str, text: &str, mutants: &mut Vec<Mutant>) -> String {
    let mut out = String::new();
    let mut function = String::new();
    let mut edges: Vec<String> = Vec::new();
    let mut hint = false;
    // The indent of an item that is left out.
    let mut left_out: Option<String> = None;
    // An attribute up to here.
    let mut attribute = String::new();
    let mut after_comment = false;
    let mut statement_begins = true;
    for line in text.lines() {
        let code = line.trim();
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(own) = &left_out {
            if own == indent && (code.ends_with('}') || code.ends_with(';')) {
                left_out = None;
            }
        } else if code.starts_with("#[") || !attribute.is_empty() {
            attribute += code;
            if code.ends_with(']') {
                left_out = is_left_out(&attribute).then(|| indent.to_owned());
                attribute.clear();
            }
        } else if code.starts_with("//") {
            if !after_comment {
                edges.clear();
                hint = false;
            }
            hint |= code.contains(HINT);
            let names = code
                .split('[')
                .skip(1)
                .filter_map(|rest| rest.split_once(']'));
            edges.extend(names.map(|(name, _)| name.trim_matches('`').to_owned()));
            after_comment = true;
            out += &format!("{line}\n");
            continue;
        } else if !code.is_empty() {
            if let Some((_, rest)) = code.split_once("fn ") {
                if let Some((name, _)) = rest.split_once(['(', '<']) {
                    function = name.to_owned();
                    edges.clear();
                }
            }
            let site = Site {
                file,
                function: &function,
                edges: &edges,
                hint,
            };
            let changed = site.orderings(code, mutants);
            let changed = site.left_out(code, &changed, statement_begins, mutants);
            out += &format!("{indent}{changed}\n");
            statement_begins = code.ends_with([';', '{', '}']);
            if code.ends_with(';') {
                edges.clear();
            }
            hint &= !code.ends_with([';', '{', '}']);
            after_comment = false;
            continue;
        }
        after_comment = false;
        out += &format!("{line}\n");
    }
    out
}

/// Where a line stands.
struct Site<'a> {
    file: &'a str,
    function: &'a str,
    edges: &'a [String],
    hint: bool,
}

impl Site<'_> {
    fn add(&self, change: String, ordering: Option<&'static str>, mutants: &mut Vec<Mutant>) {
        if self.hint {
            return;
        }
        mutants.push(Mutant {
            id: mutants.len(),
            file: self.file.to_owned(),
            function: self.function.to_owned(),
            change,
            ordering,
            edges: self.edges.to_vec(),
        });
    }

    /// The line with each ordering turned into a call.
    fn orderings(&self, code: &str, mutants: &mut Vec<Mutant>) -> String {
        let mut parts = code.split("Ordering::");
        let mut changed = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part
                .find(|c: char| !c.is_alphanumeric())
                .unwrap_or(part.len());
            let (old, rest) = part.split_at(end);
            let id = mutants.len();
            // There is no relaxed fence.
            let fence = changed.ends_with("fence(");
            for new in weaker(old)
                .iter()
                .filter(|new| !fence || **new != "Relaxed")
            {
                self.add(format!("{code}: {old} -> {new}"), Some(new), mutants);
            }
            changed += &match mutants.len() - id {
                0 if self.hint => format!("crate::sync::mutants::hint(Ordering::{old}){rest}"),
                0 => format!("Ordering::{old}{rest}"),
                n => format!("crate::sync::mutants::ordering({id}, {n}, Ordering::{old}){rest}"),
            };
        }
        changed
    }

    /// `changed`, with a switch if the shape of `code` says that it can be left out.
    fn left_out(
        &self,
        code: &str,
        changed: &str,
        begins: bool,
        mutants: &mut Vec<Mutant>,
    ) -> String {
        let is = if self.hint {
            "crate::sync::mutants::no_hints()".to_owned()
        } else {
            format!("crate::sync::mutants::is({})", mutants.len())
        };
        let new = if begins && code.ends_with(");") && is_call(code) {
            format!("if !{is} {{ {changed} }}")
        } else if let Some((pattern, call)) = changed.split_once(" => ") {
            // An arm of a match: a call of its own, or a guard.
            match (call.strip_suffix("),"), pattern.split_once(" if ")) {
                (Some(_), None) if is_call(&call.replace("),", ");")) => {
                    let call = call.trim_end_matches(',');
                    format!("{pattern} => if !{is} {{ {call} }},")
                }
                (_, Some((pattern, guard))) if asks(guard) => {
                    format!("{pattern} if !{is} && ({guard}) => {call}")
                }
                _ => return changed.to_owned(),
            }
        } else if let Some(look) = code.strip_prefix("if let Some(").and_then(|rest| {
            rest.strip_suffix(") = look() {")
                .or(rest.strip_suffix(" = look() {"))
        }) {
            format!(
                "if let Some({}) = (!{is}).then(|| look()).flatten() {{",
                look.trim_end_matches(')')
            )
        } else if let Some(barrier) = changed.strip_prefix("if !barrier::try_heavy() {") {
            // Left out, and nothing is refused.
            format!("if !({is} || barrier::try_heavy()) {{{barrier}")
        } else if let Some((name, question)) = changed
            .strip_prefix("let ")
            .and_then(|rest| rest.strip_suffix(';')?.split_once(" = || "))
            .filter(|(_, question)| asks(question))
        {
            format!("let {name} = || !{is} && ({question});")
        } else if let Some(rest) = changed.strip_prefix("|| ").filter(|rest| asks(rest)) {
            match rest.strip_suffix(" {") {
                Some(rest) => format!("|| !{is} && ({rest}) {{"),
                None => format!("|| !{is} && ({rest})"),
            }
        } else if let Some((before, condition)) = changed
            .strip_suffix(" {")
            .and_then(|rest| rest.split_once("if "))
            .filter(|(before, condition)| {
                matches!(*before, "" | "} else ")
                    && !condition.starts_with("let ")
                    && asks(condition)
            })
        {
            format!("{before}if !{is} && ({condition}) {{")
        } else if code.starts_with("if now == ") || code.starts_with("if again == ") {
            changed.replacen("if ", &format!("if {is} || "), 1)
        } else {
            return changed.to_owned();
        };
        self.add(format!("skip: {code}"), None, mutants);
        new
    }
}

/// Whether the statement is one call that the protocols may not leave out, perhaps with an
/// assignment of what it returns.
fn is_call(code: &str) -> bool {
    let code = match code.split_once(" = ") {
        Some((to, call)) if to.chars().all(|c| c.is_alphanumeric() || c == '_') => call,
        _ => code,
    };
    let begins = code.starts_with(|c: char| c.is_ascii_lowercase());
    let words = [
        "fn ",
        "let ",
        "return ",
        "break ",
        "debug_assert",
        "assert",
        "probe!",
    ];
    if !begins || words.iter().any(|word| code.starts_with(word)) || code.contains(" = ") {
        return false;
    }
    // The last call that is not inside another's parentheses.
    let mut depth = 0;
    let mut name = "";
    for (at, c) in code.char_indices() {
        match c {
            '(' => {
                if depth == 0 {
                    let word = |c: char| c.is_alphanumeric() || c == '_';
                    name = code[..at].rsplit(|c| !word(c)).next().unwrap_or_default();
                }
                depth += 1;
            }
            ')' => depth -= 1,
            _ => {}
        }
    }
    depth == 0 && CALLS.contains(&name)
}

/// Whether the condition, which must be whole, asks a question of a protocol, or looks at
/// some bits of a word.
fn asks(condition: &str) -> bool {
    let balanced = condition.matches('(').count() == condition.matches(')').count();
    let mut questions = QUESTIONS.iter().map(|name| format!("{name}("));
    balanced && (condition.contains(" & ") || questions.any(|it| condition.contains(&it)))
}

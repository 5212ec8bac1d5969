//! The rules about the text of `src`, and of the documents, that no compiler checks. ARCHITECTURE.md
//! has the reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The layers from the bottom up. A module imports from lower layers only, so not
/// from its neighbours either. `lib.rs` stands above them all.
const LAYERS: &[&[&str]] = &[
    &["sync", "probe"],
    &[
        "unwind",
        "pace",
        "tally",
        "track",
        "durations",
        "carried",
        "lazy",
        "blocks",
        "dangling",
        "words",
        "prefetch",
    ],
    &["error", "trace", "histogram"],
    &[
        "recorder", "deque", "nest", "injector", "parker", "gate", "half", "oneshot",
    ],
    &["idle"],
    &["engine"],
    &["worker_pool", "thread_pool", "bench", "deterministic"],
    &["meter"],
];

/// The modules that may name std's threads, locks and atomics, or loom.
const FACADE: &[&str] = &["sync", "probe", "deterministic"];

/// Lines of code, without comments, blank lines and the tests at the end. A longer
/// file is asked: which two things are you?
const LONGEST_FILE: usize = 600;

/// The same for an example, which shows one use of a pool: two screens.
const LONGEST_EXAMPLE: usize = 119;

#[test]
fn imports_point_down_the_layers() {
    let layer = |module: &str| LAYERS.iter().position(|modules| modules.contains(&module));
    check(|file, wrong| {
        if file.path == "src/lib.rs" {
            return;
        }
        let Some(own) = layer(&file.module) else {
            return wrong.push("the module needs a place in LAYERS".into());
        };
        for name in names_below(&file.code, "crate") {
            match layer(name) {
                _ if name == file.module => {}
                Some(other) if other < own => {}
                Some(_) => wrong.push(format!("imports `{name}`, which is not below it")),
                None => wrong.push(format!("imports `crate::{name}`, which is no module")),
            }
        }
        // `super::` may lead to the crate's root too.
        for name in names_below(&file.code, "super") {
            if name != file.module && layer(name).is_some() {
                wrong.push(format!("write `crate::{name}`, not `super::{name}`"));
            }
        }
    });
}

#[test]
fn only_the_facade_knows_std_from_loom() {
    check(|file, wrong| {
        let code = file.without_tests();
        if FACADE.contains(&file.module.as_str()) {
            return;
        }
        for root in ["std", "core"] {
            for name in names_below(code, root) {
                if name == "sync" || name == "thread" {
                    wrong.push(format!("uses `{root}::{name}`, not `crate::sync`"));
                }
            }
        }
        for root in ["loom", "parking_lot", "shuttle"] {
            if !names_below(code, root).is_empty() {
                wrong.push(format!("uses `{root}`, not `crate::sync`"));
            }
        }
    });
}

/// What clippy.toml lists is forbidden by this line of `lib.rs`, and by nothing else.
#[test]
fn the_library_turns_clippys_lists_on() {
    let line = "#![cfg_attr(not(any(test, workcrew_loom)), \
                warn(clippy::disallowed_types, clippy::disallowed_methods))]";
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    assert!(
        dense(&read("src/lib.rs")).contains(&dense(line)),
        "src/lib.rs lacks {line}"
    );
}

#[test]
fn unsafe_code_is_in_audited_files_only() {
    let mut audited = audited_files();
    let parents = audited.clone();
    check(|file, wrong| {
        let has_unsafe = words(&file.code).any(|word| word == "unsafe");
        if audited.remove(&file.path) {
            if !has_unsafe {
                wrong.push("is listed in ARCHITECTURE.md, but has no unsafe code".into());
            }
        } else if has_unsafe {
            wrong.push("has unsafe code, but is not listed in ARCHITECTURE.md".into());
        } else if !file.code.trim_start().starts_with("#![forbid(unsafe_code)]")
            // `forbid` would reach into the child modules.
            && !parents.iter().any(|path| path.starts_with(&file.folder()))
        {
            wrong.push("does not open with #![forbid(unsafe_code)]".into());
        }
    });
    assert!(
        audited.is_empty(),
        "ARCHITECTURE.md lists {audited:?}, which do not exist"
    );
}

/// loom treats a `SeqCst` access as a weaker one, so it could not check what rests on it.
#[test]
fn seqcst_is_for_fences_only() {
    check(|file, wrong| {
        for (at, _) in file.code.match_indices("SeqCst") {
            let before = file.code[..at].trim_end_matches("Ordering::").trim_end();
            if file.module != "sync" && !before.ends_with("fence(") {
                wrong.push("has `SeqCst` outside of `fence(Ordering::SeqCst)`".into());
            }
        }
    });
}

#[test]
fn there_are_no_channels() {
    check(|file, wrong| {
        if words(&file.code).any(|word| word == "mpsc") {
            wrong.push("mentions `mpsc`".into());
        }
    });
}

#[test]
fn probe_names_are_unique() {
    let mut homes = BTreeMap::new();
    check(|file, wrong| {
        for call in file.code.split("probe!(").skip(1) {
            let name = call
                .trim_start()
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next());
            let Some(name) = name else {
                wrong.push("has a probe without a literal name".into());
                continue;
            };
            if let Some(other) = homes.insert(name.to_owned(), file.path.clone()) {
                wrong.push(format!("the probe \"{name}\" is in {other} too"));
            }
        }
    });
}

/// The last column of an edge table names loom models; "-" says that there is none.
#[test]
fn models_in_edge_tables_exist() {
    let mut models = BTreeSet::new();
    for entry in fs::read_dir(root().join("loom-tests")).unwrap() {
        let text = read(&format!(
            "loom-tests/{}",
            entry.unwrap().file_name().to_string_lossy()
        ));
        let tests = text.split("#[test]").skip(1);
        models.extend(tests.filter_map(|test| {
            let name = test.split_once("fn ")?.1.split('(').next()?;
            Some(name.to_owned())
        }));
    }
    check(|file, wrong| {
        let text = read(&file.path);
        let rows = text.lines().filter_map(|line| line.strip_prefix("//! |"));
        let mut in_table = false;
        for row in rows {
            let last = row
                .trim_end()
                .trim_end_matches('|')
                .rsplit('|')
                .next()
                .unwrap()
                .trim();
            if row.trim_start().starts_with("edge ") {
                in_table = last == "loom model";
                continue;
            }
            if !in_table || last.trim_matches('-').is_empty() {
                continue;
            }
            for name in last.split(',').map(|name| name.trim().trim_matches('`')) {
                if !models.contains(name) {
                    wrong.push(format!(
                        "the edge table names `{name}`, which is no loom model"
                    ));
                }
            }
        }
    });
}

/// The tables of the contract and of the faults name tests.
#[test]
fn tests_of_the_contract_exist() {
    let text = read("ARCHITECTURE.md");
    let named_in = |table: &str, column| -> BTreeSet<String> {
        let named: BTreeSet<_> = marked(&text, table)
            .lines()
            .filter_map(|row| row.split('|').nth(column))
            .flat_map(|tests| tests.split('`').skip(1).step_by(2))
            .map(str::to_owned)
            .collect();
        assert!(named.len() > 20, "the table is there");
        named
    };
    let named = &named_in("contract", 2) | &named_in("faults", 3);
    let tests: String = rust_files("tests").iter().map(|path| read(path)).collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !tests.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// A document's links lead to files, and to headings, that are there.
#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut wrong = String::new();
    for (path, text) in documents() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in links(&prose(&text)) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let leads_somewhere = if file.contains("://") {
                true
            } else if heading.is_empty() {
                root().join(folder).join(file).exists()
            } else {
                let file = match file {
                    "" => root().join(&path),
                    _ => root().join(folder).join(file),
                };
                fs::read_to_string(file)
                    .is_ok_and(|text| anchors(&prose(&text)).any(|anchor| anchor == heading))
            };
            if !leads_somewhere {
                wrong += &format!("\n{path}: nothing is at {target}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n");
}

/// What a document names of the code is there: `three_words_or_more` are a function, most often a
/// test or a model, `Type::name` has its name from `src`, and `a/path.rs` is a file.
#[test]
fn what_the_documents_name_exists() {
    let folders = [
        "src",
        "tests",
        "loom-tests",
        "xtask/src",
        "recipes",
        "broker",
    ];
    let everywhere: String = folders
        .iter()
        .flat_map(|folder| rust_files(folder))
        .map(|path| read(&path))
        .collect();
    let starts = everywhere.split("fn ").skip(1);
    let functions: BTreeSet<_> = starts.filter_map(|rest| words(rest).next()).collect();
    let library: String = sources().into_iter().map(|file| file.code).collect();
    let library: BTreeSet<_> = words(&library).collect();
    let mut wrong = String::new();
    for (path, text) in documents() {
        for code in prose(&text).lines().flat_map(code_spans) {
            let is_known = match code.rsplit_once("::") {
                _ if code.contains(' ') => true,
                _ if code.contains('/') && code.ends_with(".rs") => root().join(code).exists(),
                _ if !code.chars().all(|c| is_word(c) || c == ':') => true,
                Some((_, name)) => library.contains(name),
                None => code.matches('_').count() < 2 || functions.contains(code),
            };
            if !is_known {
                wrong += &format!("\n{path}: there is no `{code}`");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n");
}

#[test]
fn files_are_about_one_thing() {
    check(|file, wrong| {
        let lines = file
            .without_tests()
            .lines()
            .filter(|line| !line.trim().is_empty());
        let lines = lines.count();
        if lines > LONGEST_FILE {
            wrong.push(format!(
                "has {lines} lines of code, more than {LONGEST_FILE}"
            ));
        }
    });
}

/// But for `checksum`, which is the main job.
#[test]
fn examples_are_short() {
    let mut wrong = String::new();
    for path in ["examples", "recipes/src/bin"]
        .into_iter()
        .flat_map(rust_files)
    {
        let text = read(&path);
        let lines = text.lines().map(|line| without_comment(line).trim());
        let lines = lines.filter(|line| !line.is_empty()).count();
        if lines > LONGEST_EXAMPLE && path != "examples/checksum.rs" {
            wrong += &format!("\n{path}: {lines} lines, more than {LONGEST_EXAMPLE}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n");
}

#[test]
fn names_are_found_in_groups_and_outside_of_comments() {
    assert_eq!(
        names_below("use crate::a::X; f(crate::b)", "crate"),
        ["a", "b"]
    );
    assert_eq!(
        names_below("use crate::{\n self, a::{X, Y},\n b,};", "crate"),
        ["self", "a", "b"]
    );
    assert_eq!(
        names_below("use super::super::a; use super::*; b", "super"),
        ["super", "a"]
    );
    assert!(names_below("mycrate::a", "crate").is_empty());
    assert_eq!(
        without_comment("\"http://x\"; // crate::a"),
        "\"http://x\"; "
    );
}

#[test]
fn links_headings_and_code_are_found_in_prose() {
    let text =
        "# To `sleep`, a word\n[a](b.md#c) and [d](e)\n```\n# not [f](g)\n```\n`h` i `j::k`\n";
    let prose = prose(text);
    assert!(links(&prose).eq(["b.md#c", "e"]));
    assert!(anchors(&prose).eq(["to-sleep-a-word"]));
    let spans = prose.lines().flat_map(code_spans);
    assert!(spans.eq(["sleep", "h", "j::k"]));
}

/// Holds `rule` against every file of `src`; it pushes what is wrong.
#[track_caller]
fn check(mut rule: impl FnMut(&Source, &mut Vec<String>)) {
    let mut report = String::new();
    for file in sources() {
        let mut wrong = Vec::new();
        rule(&file, &mut wrong);
        report.extend(wrong.iter().map(|what| format!("\n{}: {what}", file.path)));
    }
    assert!(report.is_empty(), "{report}\n");
}

struct Source {
    /// From the package's root, with slashes.
    path: String,
    /// The module right below the crate's root that the file belongs to.
    module: String,
    /// The text without comments.
    code: String,
}

impl Source {
    /// Tests are the last thing in a file, or have one of their own.
    fn without_tests(&self) -> &str {
        if self.path.ends_with("/tests.rs") {
            return "";
        }
        self.code.split("\nmod tests {").next().unwrap_or_default()
    }

    /// Where the files of its child modules are.
    fn folder(&self) -> String {
        let stem = self.path.trim_end_matches(".rs");
        format!(
            "{}/",
            stem.trim_end_matches("/mod").trim_end_matches("/lib")
        )
    }
}

fn sources() -> Vec<Source> {
    let source = |path: String| {
        let module = path.split('/').nth(1).unwrap();
        let code = read(&path)
            .lines()
            .map(|line| without_comment(line).to_owned() + "\n")
            .collect();
        Source {
            module: module.trim_end_matches(".rs").to_owned(),
            path,
            code,
        }
    };
    rust_files("src").into_iter().map(source).collect()
}

/// The Rust files below a folder, from the package's root, with slashes.
fn rust_files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The Markdown files that readers are sent to: path and text.
fn documents() -> Vec<(String, String)> {
    let mut documents = Vec::new();
    for folder in ["", "docs/"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = format!("{folder}{}", entry.unwrap().file_name().to_string_lossy());
            if path.ends_with(".md") {
                documents.push((path.clone(), read(&path)));
            }
        }
    }
    assert!(documents.len() > 5, "they are there");
    documents
}

/// A document without its blocks of code.
fn prose(text: &str) -> String {
    let parts = text.split("```").step_by(2);
    parts.collect()
}

/// Where its links lead to.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    let starts = prose.split("](").skip(1);
    starts.filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// What one links to its headings by.
fn anchors(prose: &str) -> impl Iterator<Item = String> {
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings.map(|heading| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| is_word(*c) || " -".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

/// What stands between backticks in a line.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The files between the audit markers of ARCHITECTURE.md: "- `src/deque.rs`: ...".
fn audited_files() -> BTreeSet<String> {
    let text = read("ARCHITECTURE.md");
    marked(&text, "audit")
        .split("- `")
        .skip(1)
        .filter_map(|item| Some(item.split_once('`')?.0.to_owned()))
        .collect()
}

/// What stands between `<!-- name -->` and `<!-- /name -->`.
fn marked<'a>(text: &'a str, name: &str) -> &'a str {
    text.split_once(&format!("<!-- {name} -->"))
        .and_then(|(_, rest)| rest.split_once(&format!("<!-- /{name} -->")))
        .map(|(part, _)| part)
        .unwrap_or_else(|| panic!("ARCHITECTURE.md has <!-- {name} --> and <!-- /{name} -->"))
}

/// The first names in the paths that begin with `root`: of `crate::a::X` it is `a`,
/// of `crate::{b::Y, c}` they are `b` and `c`.
fn names_below<'a>(code: &'a str, root: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    let start = format!("{root}::");
    for (at, _) in code.match_indices(&start) {
        if code[..at].ends_with(is_word) {
            continue;
        }
        let path = &code[at + start.len()..];
        let mut depth = 0;
        let mut name_may_begin = true;
        for (at, c) in path.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => name_may_begin = true,
                c if c.is_whitespace() => {}
                c => {
                    if name_may_begin && is_word(c) {
                        names.extend(words(&path[at..]).next());
                    }
                    name_may_begin = false;
                }
            }
            if depth == 0 && !name_may_begin {
                break;
            }
        }
    }
    names
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A `//` after an odd number of quotes is inside a string.
fn without_comment(line: &str) -> &str {
    let mut before = line.match_indices("//").map(|(at, _)| &line[..at]);
    before
        .find(|code| code.matches('"').count() % 2 == 0)
        .unwrap_or(line)
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

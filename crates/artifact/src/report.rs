//! The inspection as people read it (plain text, made for 80 columns) and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use crate::artifact::{Form, Sort};
use crate::can_run::{CanRun, Missing, Verdict};
use crate::error::visible;
use crate::inspection::{Inspection, Item, Memory, pages};

const WIDTH: usize = 80;
/// Wide enough for the longest label; the digest then just fits the width.
const LABEL: usize = 8;

/// Writes the JSON document, one object, indented, with a line break at its end. With an answer of
/// [`CanRun`] it is the field `can_run`.
pub fn json(
    out: &mut impl Write,
    inspection: &Inspection,
    can_run: Option<&CanRun>,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        #[serde(flatten)]
        inspection: &'a Inspection,
        #[serde(skip_serializing_if = "Option::is_none")]
        can_run: Option<&'a CanRun>,
    }
    serde_json::to_writer_pretty(&mut *out, &Document { inspection, can_run })?;
    writeln!(out)
}

/// Writes the whole inspection for people.
pub fn human(out: &mut impl Write, inspection: &Inspection) -> io::Result<()> {
    let shown = |text: &str| visible(text, 300).replace('\n', " ");
    writeln!(out, "{}\n", shown(&inspection.name))?;

    let mut kinds = inspection.kinds.iter().map(ToString::to_string);
    label(out, "kind", &kinds.next().unwrap_or_default())?;
    for also in kinds {
        label(out, "also", &also)?;
    }
    label(out, "form", &form(inspection))?;
    label(out, "size", &size(inspection.size))?;
    label(out, "digest", &inspection.digest.to_string())?;
    let mut languages: Vec<&str> =
        inspection.languages.iter().map(|language| language.name.as_str()).collect();
    if languages.is_empty() {
        languages.push("not recorded");
    }
    label(out, "source", &shown(&languages.join(", ")))?;
    let tools = inspection.producers.processed_by.iter().chain(&inspection.producers.sdks);
    let tools: Vec<String> = tools
        .map(|tool| match tool.version.as_str() {
            "" => shown(&tool.name),
            version => shown(&format!("{} {version}", tool.name)),
        })
        .collect();
    if !tools.is_empty() {
        label(out, "tools", &tools.join(", "))?;
    }
    let needs = inspection.needs.words();
    label(
        out,
        "needs",
        &if needs.is_empty() { "nothing beyond the baseline".to_owned() } else { needs.join(", ") },
    )?;
    label(out, "debug", debug(inspection))?;
    if inspection.start {
        label(out, "start", "runs code when it is instantiated")?;
    }

    section(out, "imports", &inspection.imports)?;
    section(out, "exports", &inspection.exports)?;
    memories(out, inspection)?;
    nested(out, inspection)?;
    custom_sections(out, inspection)
}

/// Writes the answer per import, and a last line that sums it up.
pub fn can_run(out: &mut impl Write, inspection: &Inspection, answer: &CanRun) -> io::Result<()> {
    let name = visible(&inspection.name, 300).replace('\n', " ");
    let missing = answer.missing().count();
    for checked in &answer.imports {
        let import = visible(&checked.import, 300);
        match &checked.verdict {
            Verdict::Satisfied { by } if *by == checked.import => {
                writeln!(out, "  ok       {import}")?;
            }
            Verdict::Satisfied { by } => {
                writeln!(out, "  ok       {import}")?;
                if checked.import.contains('@') {
                    writeln!(out, "           by {by}")?;
                }
            }
            Verdict::Missing { why, nearest } => {
                writeln!(out, "  missing  {import}")?;
                let nearest = nearest.as_deref();
                let line = match (why, nearest) {
                    (Missing::Version, Some(have)) => {
                        format!("another version is there: {have}")
                    }
                    (Missing::Functions { functions }, have) => {
                        let functions: Vec<_> = functions.iter().map(|f| visible(f, 100)).collect();
                        format!("{} lacks {}", have.unwrap_or("the host"), functions.join(", "))
                    }
                    (_, Some(have)) => format!("the nearest is {have}"),
                    (_, None) => "nothing like it is there".to_owned(),
                };
                wrap(out, &line, 11)?;
            }
        }
    }
    if !answer.imports.is_empty() {
        writeln!(out)?;
    }
    match (answer.imports.len(), missing) {
        (0, _) => writeln!(out, "{name} imports nothing: it can run."),
        (all, 0) => writeln!(out, "{name} can run: all {all} imports are there."),
        (all, missing) => writeln!(out, "{name} cannot run: {missing} of {all} imports missing."),
    }
}

fn form(inspection: &Inspection) -> String {
    let mut form = match inspection.form {
        Form::Module => format!("module, {}", count(inspection.functions as usize, "function")),
        Form::Component => {
            let mut inside = vec![count(inspection.modules.len(), "core module")];
            if !inspection.components.is_empty() {
                inside.push(count(inspection.components.len(), "component"));
            }
            format!("component with {} inside", inside.join(" and "))
        }
    };
    if inspection.text_form {
        form.push_str(", assembled from text");
    }
    form
}

fn debug(inspection: &Inspection) -> &'static str {
    match (inspection.names, inspection.dwarf) {
        (true, true) => "function names and source lines (DWARF)",
        (true, false) => "function names",
        (false, true) => "source lines (DWARF)",
        (false, false) => "none: backtraces show function numbers",
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn size(bytes: usize) -> String {
    let exact = match bytes {
        1 => "1 byte".to_owned(),
        _ => format!("{} bytes", grouped(bytes)),
    };
    let (unit, name) = if bytes >= 1 << 20 { (1 << 20, "MiB") } else { (1 << 10, "KiB") };
    if bytes < 1 << 10 {
        return exact;
    }
    format!("{:.1} {name} ({exact})", bytes as f64 / f64::from(unit))
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn label(out: &mut impl Write, label: &str, text: &str) -> io::Result<()> {
    write!(out, "{label:LABEL$}")?;
    wrap_from(out, text, LABEL, LABEL)
}

/// Imports or exports: core ones grouped by module, interfaces with their functions beneath.
fn section(out: &mut impl Write, title: &str, items: &[Item]) -> io::Result<()> {
    if items.is_empty() {
        return writeln!(out, "\n{title}: none");
    }
    writeln!(out, "\n{title} ({})", items.len())?;
    let single = items.iter().filter(|item| item.sort != Sort::Instance);
    let width = single.map(|item| item.name.chars().count()).max().unwrap_or(0).min(32);
    let mut module = None;
    for item in items {
        if item.module.is_some() && item.module != module {
            module.clone_from(&item.module);
            writeln!(out, "  {}", visible(module.as_deref().unwrap_or_default(), 200))?;
        }
        if item.sort == Sort::Instance {
            writeln!(out, "  {}", visible(&item.full_name(), 300))?;
            for function in &item.functions {
                let text = function.signature.as_deref().unwrap_or(&function.name);
                wrap(out, &visible(text, 2000), 6)?;
            }
            continue;
        }
        let indent = if item.module.is_some() { 4 } else { 2 };
        let name = visible(&item.full_name_in_module(), 300);
        let ty = item.ty.as_deref().unwrap_or_default();
        let line = match item.sort {
            Sort::Function => format!("{name:width$}  {ty}"),
            sort => format!("{name:width$}  {} {ty}", sort.word()),
        };
        wrap(out, &visible(line.trim_end(), 2000), indent)?;
    }
    Ok(())
}

fn memories(out: &mut impl Write, inspection: &Inspection) -> io::Result<()> {
    if inspection.memories.is_empty() {
        return writeln!(out, "\nmemories: none");
    }
    writeln!(out, "\nmemories ({})", inspection.memories.len())?;
    for memory in &inspection.memories {
        wrap(out, &memory_line(memory), 2)?;
    }
    Ok(())
}

fn memory_line(memory: &Memory) -> String {
    let mut line = pages(memory.minimum_pages, memory.maximum_pages);
    line.push_str(&match memory.page_size {
        65536 => " of 64 KiB".to_owned(),
        other => format!(" of {other} bytes"),
    });
    for (flag, word) in [(memory.memory64, ", 64-bit"), (memory.shared, ", shared")] {
        if flag {
            line.push_str(word);
        }
    }
    if let Some(from) = &memory.imported {
        line.push_str(&format!(", imported from {from}"));
    }
    if let Some(name) = &memory.exported {
        line.push_str(&format!(", exported as {name}"));
    }
    if let Some(module) = memory.module {
        line.push_str(&format!(", in module {module}"));
    }
    visible(&line, 1000)
}

fn nested(out: &mut impl Write, inspection: &Inspection) -> io::Result<()> {
    let lists = [("module", &inspection.modules), ("component", &inspection.components)];
    if lists.iter().all(|(_, list)| list.is_empty()) {
        return Ok(());
    }
    writeln!(out, "\ninside")?;
    for (what, list) in lists {
        for (index, nested) in list.iter().enumerate() {
            let name = nested.name.as_deref().map(|name| format!(", {}", visible(name, 100)));
            let name = name.unwrap_or_default();
            wrap(out, &format!("{what} {index}: {}{name}", size(nested.size)), 2)?;
        }
    }
    Ok(())
}

/// Those of the outermost level; nested ones are counted.
fn custom_sections(out: &mut impl Write, inspection: &Inspection) -> io::Result<()> {
    let (outer, inner): (Vec<_>, Vec<_>) = inspection
        .custom_sections
        .iter()
        .partition(|section| section.module.is_none() && section.component.is_none());
    if outer.is_empty() && inner.is_empty() {
        return Ok(());
    }
    writeln!(out, "\ncustom sections ({})", outer.len() + inner.len())?;
    let width = outer.iter().map(|section| section.name.chars().count()).max().unwrap_or(0).min(40);
    for section in &outer {
        let line = format!("{:width$}  {}", section.name, size(section.size));
        writeln!(out, "  {}", visible(&line, 300).replace('\n', " "))?;
    }
    if !inner.is_empty() {
        let bytes = inner.iter().map(|section| section.size).sum();
        writeln!(out, "  {} inside: {}", inner.len(), size(bytes))?;
    }
    Ok(())
}

fn wrap(out: &mut impl Write, text: &str, indent: usize) -> io::Result<()> {
    write!(out, "{:indent$}", "")?;
    wrap_from(out, text, indent, indent + 4)
}

/// Writes `text` from column `start`, broken at blanks to keep within the width where it can be,
/// following lines indented by `hang`.
fn wrap_from(out: &mut impl Write, text: &str, start: usize, hang: usize) -> io::Result<()> {
    let mut column = start;
    for (index, word) in text.split([' ', '\n']).enumerate() {
        let length = word.chars().count();
        if index > 0 {
            if column + 1 + length > WIDTH {
                write!(out, "\n{:hang$}", "")?;
                column = hang;
            } else {
                write!(out, " ")?;
                column += 1;
            }
        }
        write!(out, "{word}")?;
        column += length;
    }
    writeln!(out)
}

//! `locum fmt`: one way to lay a configuration out, with every comment kept.

use std::fs;

use toml_edit::{Array, Decor, DocumentMut, InlineTable, Item, KeyMut, RawString, Table, Value};

use crate::print::out;
use crate::{Failure, args};

/// `locum fmt`.
pub(crate) fn run(args: &args::Fmt) -> Result<(), Failure> {
    let mut differs = false;
    for path in &args.files {
        let failed =
            |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
        let formatted = format(&text).map_err(|error| failed(&error.to_string().trim_end()))?;
        if formatted == text {
            continue;
        }
        differs = true;
        match args.check {
            true => out(&format!("{}: not formatted\n", path.display()))?,
            false => fs::write(path, formatted).map_err(|error| failed(&error))?,
        }
    }
    if differs && args.check { Err(Failure::Different) } else { Ok(()) }
}

/// Lays `text` out anew: `key = value`, no indentation but in lists of several lines, one empty line
/// before each table and at most one elsewhere.
///
/// # Errors
///
/// It is not TOML.
fn format(text: &str) -> Result<String, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    lay_out_table(document.as_table_mut());
    let trailing = before(Some(document.trailing()));
    document.set_trailing(trailing.trim_end());
    let laid_out = document.to_string();
    let mut text = laid_out.trim_matches('\n').to_owned();
    if !text.is_empty() {
        text.push('\n');
    }
    Ok(text)
}

fn lay_out_table(table: &mut Table) {
    let mut is_first = true;
    for (mut key, item) in table.iter_mut() {
        match item {
            Item::Value(value) => {
                let comments = before(key.leaf_decor().prefix());
                // Nothing stands between a header and what it is of.
                let comments = if is_first { comments.trim_start_matches('\n') } else { &comments };
                *key.leaf_decor_mut() = Decor::new(comments, " ");
                *key.dotted_decor_mut() = Decor::default();
                lay_out_value(value);
            }
            Item::Table(table) if table.is_dotted() => {
                *key.dotted_decor_mut() = Decor::default();
                lay_out_table(table);
            }
            Item::Table(table) => {
                without_spaces(&mut key);
                lay_out_section(table);
            }
            Item::ArrayOfTables(tables) => {
                without_spaces(&mut key);
                tables.iter_mut().for_each(lay_out_section);
            }
            Item::None => {}
        }
        is_first = false;
    }
}

/// Between the brackets of a header.
fn without_spaces(key: &mut KeyMut<'_>) {
    *key.leaf_decor_mut() = Decor::default();
    *key.dotted_decor_mut() = Decor::default();
}

/// A table with a header of its own.
fn lay_out_section(table: &mut Table) {
    let comments = before(table.decor().prefix());
    let comments = comments.trim_start_matches('\n');
    let behind = behind(table.decor().suffix());
    *table.decor_mut() = Decor::new(format!("\n{comments}"), behind);
    lay_out_table(table);
}

fn lay_out_value(value: &mut Value) {
    let behind = behind(value.decor().suffix());
    lay_out_inside(value, 0);
    *value.decor_mut() = Decor::new(" ", behind);
}

/// What stands between the brackets of a list or an inline table.
fn lay_out_inside(value: &mut Value, depth: usize) {
    let has_lines = value.to_string().trim().contains('\n');
    match value {
        Value::Array(array) if has_lines => lay_out_lines(array, depth + 1),
        Value::Array(array) => {
            array.iter_mut().for_each(|item| lay_out_inside(item, depth));
            array.fmt();
        }
        // A table of several lines is as its author wants it.
        Value::InlineTable(table) if !has_lines => lay_out_inline(table, depth),
        _ => {}
    }
}

fn lay_out_inline(table: &mut InlineTable, depth: usize) {
    table.iter_mut().for_each(|(_, value)| lay_out_inside(value, depth));
    table.fmt();
}

/// One item a line, and a comma behind each.
fn lay_out_lines(array: &mut Array, depth: usize) {
    let indentation = "    ".repeat(depth);
    // What stands behind a comma belongs to what is before the next item.
    let indented = |raw: Option<&RawString>| -> String {
        let text = raw.and_then(RawString::as_str).unwrap_or_default();
        let mut lines = text.split('\n');
        let beside = lines.next().unwrap_or_default().trim();
        let beside = if beside.is_empty() { String::new() } else { format!(" {beside}") };
        let comments = lines.map(str::trim).filter(|line| !line.is_empty());
        let comments = comments.map(|line| format!("\n{indentation}{line}"));
        beside + &comments.collect::<String>()
    };
    for item in array.iter_mut() {
        let comments = indented(item.decor().prefix());
        let late = indented(item.decor().suffix());
        lay_out_inside(item, depth);
        // A comment ends its line, so that the comma would be part of it.
        let behind = if late.is_empty() { late } else { format!("{late}\n{indentation}") };
        *item.decor_mut() = Decor::new(format!("{comments}\n{indentation}"), behind);
    }
    let last = indented(Some(array.trailing()));
    let outside = "    ".repeat(depth - 1);
    array.set_trailing(format!("{last}\n{outside}"));
    array.set_trailing_comma(!array.is_empty());
}

/// The comments before a key or a header, with no more than one empty line in a row.
fn before(raw: Option<&RawString>) -> String {
    let text = raw.and_then(RawString::as_str).unwrap_or_default();
    let mut laid_out = String::new();
    let mut lines: Vec<&str> = text.split('\n').map(str::trim).collect();
    // The last is the indentation of what follows, unless a comment ends the file.
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    for line in lines {
        if !line.is_empty() || !(laid_out.ends_with("\n\n") || laid_out == "\n") {
            laid_out.push_str(line);
            laid_out.push('\n');
        }
    }
    laid_out
}

/// A comment behind a value or a header.
fn behind(raw: Option<&RawString>) -> String {
    let text = raw.and_then(RawString::as_str).unwrap_or_default().trim();
    if text.is_empty() { String::new() } else { format!(" {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_laid_out_with_every_comment_kept() {
        let wild = "\n\n  # the admin API\n[ admin ]   # here\n\n\n   listen=\"127.0.0.1:0\"# free\n\
                    # of it\n\n\n\ntoken = 'x'\n[listeners.web]\nbind  =   \"a\"\n  limits = {headers=1,  \
                    header_bytes = \"1KiB\" }\nlimits2.a.b=1\n[[routes]]\nlist=[ 1,2 ,\n3 # three\n,\n\
                    # four\n4]\nplain=[ 1,2 ]\nempty = [ ]\n  # the end";
        let tidy = "# the admin API\n[admin] # here\nlisten = \"127.0.0.1:0\" # free\n# of it\n\n\
                    token = 'x'\n\n[listeners.web]\nbind = \"a\"\nlimits = { headers = 1, \
                    header_bytes = \"1KiB\" }\nlimits2.a.b = 1\n\n[[routes]]\nlist = [\n    1,\n    2,\n    \
                    3 # three\n    ,\n    # four\n    4,\n]\nplain = [1, 2]\nempty = []\n# the end\n";
        assert_eq!(format(wild).unwrap(), tidy);
        assert_eq!(format(tidy).unwrap(), tidy, "what is laid out stays so");
    }

    #[test]
    fn the_embedded_default_stays_what_it_means_and_keeps_its_comments() {
        let text = crate::config::EMBEDDED;
        let formatted = format(text).unwrap();
        let meaning = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
        assert_eq!(meaning(text), meaning(&formatted));
        assert_eq!(text.matches('#').count(), formatted.matches('#').count());
        assert_eq!(format(&formatted).unwrap(), formatted);
    }

    #[test]
    fn what_is_no_toml_is_left_alone() {
        assert!(format("[a\nb").is_err());
        assert_eq!(format("").unwrap(), "");
        assert_eq!(format("\n\n").unwrap(), "");
    }
}

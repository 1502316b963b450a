//! The one place that writes to standard output and standard error.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::{Value, json};

use super::failure::Failure;

/// What a command found out, for people and for programs.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) json: Value,
    /// Whether the exit code says that all is well.
    pub(super) well: bool,
}

impl Answer {
    pub(super) fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json,
            well: true,
        }
    }

    pub(super) fn well(mut self, well: bool) -> Self {
        self.well = well;
        self
    }
}

/// Text or JSON, as the command line asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    json: bool,
}

impl Out {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Writes an answer to standard output.
    pub(super) fn say(self, answer: &Answer) -> ExitCode {
        let text = if self.json {
            format!("{:#}", answer.json)
        } else {
            answer.text.trim_end().to_string()
        };
        match write_line(&mut io::stdout().lock(), &text) {
            Ok(()) if answer.well => ExitCode::SUCCESS,
            Ok(()) => ExitCode::FAILURE,
            Err(error) => self.fail(&Failure::new(format!(
                "the answer cannot be written: {error}"
            ))),
        }
    }

    /// Writes why not to standard error.
    pub(super) fn fail(self, failure: &Failure) -> ExitCode {
        let text = match (self.json, failure.fields.is_empty()) {
            (false, _) => format!("error: {}", failure.text),
            (true, true) => json!({ "error": failure.text }).to_string(),
            (true, false) => json!({ "error": failure.text, "fields": failure.fields }).to_string(),
        };
        // Where this cannot be written the exit code must do.
        let _ = write_line(&mut io::stderr().lock(), &text);
        ExitCode::FAILURE
    }
}

/// A reader that has read enough, such as `head`, is no failure.
fn write_line(to: &mut impl Write, text: &str) -> io::Result<()> {
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Rows under a head, columns aligned.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([head[column].chars().count()])
            .max()
            .unwrap_or_default()
    });
    let mut text = String::new();
    for row in std::iter::once(&head.map(String::from)).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `1 role`, `2 roles`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A list in a cell or sentence; a dash where it is empty.
pub(super) fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(item.as_ref());
    }
    if text.is_empty() { "-".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed(io::ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure_but_a_full_disk_is() {
        assert!(write_line(&mut Closed(io::ErrorKind::BrokenPipe), "text").is_ok());
        assert!(write_line(&mut Closed(io::ErrorKind::StorageFull), "text").is_err());
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [["é".into(), "1".into()], ["abc".into(), String::new()]];
        assert_eq!(table(["A", "B"], &rows), "A    B\né    1\nabc\n");
    }

    #[test]
    fn an_empty_list_is_a_dash() {
        assert_eq!(list(["a", "b"]), "a, b");
        assert_eq!(list::<&str>([]), "-");
    }
}

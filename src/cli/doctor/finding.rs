//! What came of a check.

use std::time::Duration;

use serde::Serialize;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    Warn,
    Fail,
}

/// A good, a doubtful or a bad outcome, before it has the name of its check.
pub(super) type Finding = (Status, String);

pub(super) fn ok(detail: impl Into<String>) -> Finding {
    (Status::Ok, detail.into())
}

pub(super) fn warn(detail: impl Into<String>) -> Finding {
    (Status::Warn, detail.into())
}

pub(super) fn fail(detail: impl ToString) -> Finding {
    (Status::Fail, detail.to_string())
}

pub(super) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

//! The rows for programs.

use crate::report::Report;

/// A list of objects, one on each line. A number that there is not is `null`.
pub(crate) fn json(report: &Report) -> String {
    let rows: Vec<String> = report
        .rows
        .iter()
        .map(|row| {
            format!(
                "  {{\"work\": {:?}, \"peer\": {:?}, \"ours_ns\": {}, \"peer_ns\": {}, \"ours_p99_ns\": {}, \
                 \"peer_p99_ns\": {}, \"ratio\": {}}}",
                row.work,
                row.peer,
                number(Some(row.ours.median())),
                number(Some(row.theirs.median())),
                number(row.ours.p99()),
                number(row.theirs.p99()),
                number(Some(row.ratio())),
            )
        })
        .collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

fn number(number: Option<f64>) -> String {
    number.filter(|number| number.is_finite()).map_or("null".to_owned(), |number| format!("{number:.3}"))
}

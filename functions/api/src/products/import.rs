//! Products from a file, piece by piece: each row is followed as a whole or not at all, and the answer
//! says what became of it. A piece that is sent again finds its rows done already.

use std::{collections::HashMap, sync::Arc};

use axum::{Extension, Json, extract::State};
use futures::future::join_all;
use jiff::Timestamp;
use orders::{
    Invalid, Sku,
    catalogue::{Category, Fault, Product, ProductDraft},
};
use serde::{Deserialize, Serialize};
use store::{
    AuditEntry, AuditOutcome, StoreError,
    catalogue::{EditError, VersionedProduct},
};
use telemetry::TraceId;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    editor::too_many_terms,
    table::{Row, Table, Verdict},
};
use crate::{
    AppState, Failures,
    audit::Changed,
    authorization::Caller,
    problem::{Problem, ProblemType},
    query::Query,
    request::Csv,
};

/// The largest piece: rows of the longest texts make it smaller than 500 of them. API Gateway hands it on
/// as a JSON string, which may double it, and a Lambda takes at most 6 MB.
pub(crate) const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The most lines of a file.
const MAX_LINES: u32 = 20_000;

/// How many products are written at once.
const AT_ONCE: usize = 8;

/// The longest name that is given back of what is no name.
const MAX_NAME: usize = 60;

/// What became of the rows of a piece.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportReport {
    /// The file.
    import: Uuid,
    /// Whether nothing was written, and the rest is what would have been.
    dry_run: bool,
    /// How many rows made a product.
    created: usize,
    /// How many rows changed one.
    changed: usize,
    /// How many rows said of a product what was so already.
    unchanged: usize,
    /// How many rows were not followed.
    refused: usize,
    /// Each row, in the order of the file.
    rows: Vec<ImportedRow>,
}

/// What became of a row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportedRow {
    /// The line of the file that it begins in.
    line: u32,
    /// The product, as it is named there.
    sku: String,
    outcome: ImportOutcome,
    /// All that is wrong with it, each with its column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ImportOutcome {
    /// It made a product.
    Created,
    /// It changed one.
    Changed,
    /// It said what was so already.
    Unchanged,
    /// It was not followed.
    Refused,
}

/// What the piece is a piece of.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Piece {
    /// Names the file: the same for all its pieces, of your own making.
    import: Uuid,
    /// The line of the file that the first row of this piece stands in; 2, if not given.
    #[serde(default)]
    #[param(inline)]
    first_line: FirstLine,
    /// `true` reports what would be done, and does nothing.
    #[serde(default)]
    dry_run: bool,
}

/// A line of a file, but not the one that names the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(try_from = "i64")]
#[schema(value_type = u32, minimum = 2, default = 2)]
struct FirstLine(u32);

impl Default for FirstLine {
    fn default() -> Self {
        Self(2)
    }
}

impl TryFrom<i64> for FirstLine {
    type Error = Invalid;

    fn try_from(line: i64) -> Result<Self, Invalid> {
        let line = u32::try_from(line).ok().filter(|line| *line >= 2);
        let rule = "must be a line after the first";
        line.map(Self).ok_or(Invalid(rule))
    }
}

/// What was done to a product.
struct Written {
    before: Option<Product>,
    after: Product,
}

/// Makes and changes products by the rows of a CSV file, sent in pieces of at most 500 rows, each with
/// the line that names the columns. What is not UTF-8 or no such table is refused as a whole; of a row
/// that is refused, nothing is done.
///
/// The columns are those of the export. `sku`, `category`, `title.en`, `title.es`, `description.en`,
/// `description.es`, `price.cents` and `price.currency` must be there; where `image` or an attribute's
/// column is not, that stays as it is, and an empty cell takes it away. A row with a `version` is
/// refused if the product has changed since. A cell that begins as a formula does (`=`, `+`, `-`, `@`)
/// is refused, unless an apostrophe stands before it or it is a number where one belongs. A product
/// that stands in the file twice is refused the second time.
#[utoipa::path(post, path = "/v1/products/import", operation_id = "import_products", tag = "catalogue",
    params(Piece), request_body(content = String, content_type = "text/csv"), responses((status = 200, body = ImportReport), Failures))]
pub(crate) async fn import(
    State(shop): State<Arc<AppState>>,
    caller: Caller,
    Extension(trace): Extension<TraceId>,
    piece: Result<Query<Piece>, Problem>,
    Csv(bytes): Csv,
) -> Result<(Extension<Changed>, Json<ImportReport>), Problem> {
    // What is no file is refused first.
    let Query(piece) = piece?;
    let categories = shop.catalogue.categories().await?;
    let table = Table::read(&bytes, piece.first_line.0, &categories)?;
    within_limits(&table)?;
    let rows = shop.judge(&piece, &table, &categories).await?;
    let rows = if piece.dry_run {
        rows.into_iter().map(Judged::report).collect()
    } else {
        let (rows, written) = shop.follow(rows).await;
        shop.write_down(&written, &caller, trace).await;
        rows?
    };
    let report = ImportReport::of(&piece, rows);
    let changed = Extension(Changed::new(&(), &report.summary()));
    Ok((changed, Json(report)))
}

fn within_limits(table: &Table) -> Result<(), Problem> {
    let invalid = |detail: String| Err(Problem::new(ProblemType::InvalidCsv, detail).at("body"));
    match table.rows.last() {
        None => invalid("There are no rows.".to_owned()),
        Some(last) if last.line > MAX_LINES => invalid(format!(
            "A file has at most {MAX_LINES} lines. Make several files of it."
        )),
        Some(_) => Ok(()),
    }
}

/// A row, and what is to be done about it.
struct Judged {
    line: u32,
    name: String,
    now: Option<VersionedProduct>,
    verdict: Verdict,
}

impl AppState {
    /// What is to be done about each row.
    async fn judge(
        &self,
        piece: &Piece,
        table: &Table,
        categories: &[Category],
    ) -> Result<Vec<Judged>, StoreError> {
        let names: Vec<Result<Sku, Fault>> = table.rows.iter().map(|row| row.sku(table)).collect();
        let first = first_rows(&table.rows, &names);
        let lines: Vec<(&Sku, i32)> = first
            .iter()
            .map(|(sku, line)| (*sku, line.cast_signed()))
            .collect();
        let skus: Vec<Sku> = first.keys().map(|sku| (*sku).clone()).collect();
        let (first_lines, mut versioned_products) = tokio::try_join!(
            self.database
                .imports()
                .first_lines(piece.import, &lines, Timestamp::now()),
            self.catalogue.versioned_products(&skus),
        )?;
        let judged = table.rows.iter().zip(&names).map(|(row, sku)| {
            let (now, verdict) = match sku {
                Err(fault) => (None, Verdict::Refused(vec![fault.clone()])),
                Ok(sku) => match first_lines.get(sku.as_str()) {
                    Some(line) if line.cast_unsigned() != row.line => (None, repeated(*line)),
                    _ => {
                        let now = versioned_products.remove(sku);
                        let verdict = row.verdict(table, sku, now.as_ref(), categories);
                        (now, verdict)
                    }
                },
            };
            Judged {
                line: row.line,
                name: row.name(table).chars().take(MAX_NAME).collect(),
                now,
                verdict,
            }
        });
        Ok(judged.collect())
    }

    /// Does what is to be done, and tells what was written even if the catalogue fails in the middle:
    /// then, no more is tried.
    async fn follow(
        &self,
        rows: Vec<Judged>,
    ) -> (Result<Vec<ImportedRow>, StoreError>, Vec<Written>) {
        let (mut told, mut all_written) = (Ok(Vec::with_capacity(rows.len())), Vec::new());
        let mut rows = rows.into_iter();
        while told.is_ok() && rows.len() > 0 {
            let some = rows.by_ref().take(AT_ONCE);
            for one in join_all(some.map(|row| self.follow_one(row))).await {
                match one {
                    Ok((row, written)) => {
                        all_written.extend(written);
                        if let Ok(rows) = &mut told {
                            rows.push(row);
                        }
                    }
                    Err(error) => told = Err(error),
                }
            }
        }
        (told, all_written)
    }

    async fn follow_one(
        &self,
        mut row: Judged,
    ) -> Result<(ImportedRow, Option<Written>), StoreError> {
        let Verdict::Write(product) = &row.verdict else {
            return Ok((row.report(), None));
        };
        let product = Product::clone(product);
        let fault = match self.catalogue.replace(row.now.as_ref(), product).await {
            Ok(versioned) => {
                let written = Written {
                    before: row.now.as_ref().map(|now| now.product.clone()),
                    after: versioned.product,
                };
                return Ok((row.report(), Some(written)));
            }
            Err(EditError::Stale) => Fault::new(
                "row",
                "somebody has just changed the product: send the row again",
            ),
            Err(EditError::TooManyTerms) => too_many_terms(),
            Err(EditError::Store(error)) => return Err(error),
        };
        row.verdict = Verdict::Refused(vec![fault]);
        Ok((row.report(), None))
    }

    /// Leaves a row in the audit log for each product, as if it had been changed by itself.
    async fn write_down(&self, written: &[Written], caller: &Caller, trace: TraceId) {
        let (actor, trace) = (caller.actor(), trace.to_string());
        let document = |product: &Product| serde_json::to_value(ProductDraft::from(product)).ok();
        let entries = written.iter().map(|Written { before, after }| AuditEntry {
            actor: &actor,
            action: "product.put",
            target: after.sku.as_str(),
            reason: None,
            outcome: AuditOutcome::Done,
            before: before.as_ref().and_then(document),
            after: document(after),
            trace_id: &trace,
        });
        let entries: Vec<AuditEntry<'_>> = entries.collect();
        if entries.is_empty() {
            return;
        }
        if let Err(error) = self
            .database
            .audit()
            .record_all(&entries, Timestamp::now())
            .await
        {
            tracing::error!(%error, rows = entries.len(), "audit.failed");
        }
    }
}

/// In which line each product stands first in this piece.
fn first_rows<'a>(rows: &[Row], names: &'a [Result<Sku, Fault>]) -> HashMap<&'a Sku, u32> {
    let mut first = HashMap::with_capacity(rows.len());
    for (row, sku) in rows.iter().zip(names) {
        if let Ok(sku) = sku {
            first.entry(sku).or_insert(row.line);
        }
    }
    first
}

fn repeated(line: i32) -> Verdict {
    let detail = format!("stands in line {line} of the file already");
    Verdict::Refused(vec![Fault::new("sku", detail)])
}

impl Judged {
    /// What has become of the row, if what was to be done has been done.
    fn report(self) -> ImportedRow {
        let (outcome, errors) = match self.verdict {
            Verdict::Unchanged => (ImportOutcome::Unchanged, Vec::new()),
            Verdict::Write(_) if self.now.is_some() => (ImportOutcome::Changed, Vec::new()),
            Verdict::Write(_) => (ImportOutcome::Created, Vec::new()),
            Verdict::Refused(faults) => (ImportOutcome::Refused, faults),
        };
        ImportedRow {
            line: self.line,
            sku: self.name,
            outcome,
            errors,
        }
    }
}

impl ImportReport {
    fn of(piece: &Piece, rows: Vec<ImportedRow>) -> Self {
        let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
        Self {
            import: piece.import,
            dry_run: piece.dry_run,
            created: count(ImportOutcome::Created),
            changed: count(ImportOutcome::Changed),
            unchanged: count(ImportOutcome::Unchanged),
            refused: count(ImportOutcome::Refused),
            rows,
        }
    }

    /// What the audit log keeps of it: the products have rows of their own.
    fn summary(&self) -> serde_json::Value {
        serde_json::json!({
            "import": self.import,
            "dry_run": self.dry_run,
            "created": self.created,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "refused": self.refused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Parameters;

    const IMPORT: &str = "0190f3c0-0000-7000-8000-000000000001";

    fn piece(parameters: &[(&str, &str)]) -> Result<Piece, Problem> {
        let query = parameters
            .iter()
            .map(|(name, value)| format!("{name}={value}&"));
        Parameters::of(&query.collect::<String>()).parse()
    }

    #[test]
    fn a_piece_says_of_which_file_it_is() {
        let first = piece(&[("import", IMPORT)]).unwrap();
        assert_eq!((first.first_line.0, first.dry_run), (2, false));
        let later = [
            ("import", IMPORT),
            ("first_line", "502"),
            ("dry_run", "true"),
        ];
        let later = piece(&later).unwrap();
        assert_eq!((later.first_line.0, later.dry_run), (502, true));
    }

    #[test]
    fn a_piece_of_no_file_is_refused() {
        for (parameters, field) in [
            (vec![], "import"),
            (vec![("import", "7")], "import"),
            (vec![("import", IMPORT), ("first_line", "1")], "first_line"),
            (vec![("import", IMPORT), ("dry_run", "perhaps")], "dry_run"),
            (vec![("import", IMPORT), ("colour", "red")], "colour"),
        ] {
            let problem = piece(&parameters).err().unwrap().summary();
            assert_eq!(problem["field"], field, "{parameters:?}");
        }
    }
}

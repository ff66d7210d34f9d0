//! Imports products from a CSV file, piece by piece.
//!
//! Each row is applied as a whole or not at all, and the response reports each row. A piece that is
//! sent again finds its rows unchanged.

use std::{collections::HashMap, sync::Arc};

use axum::{Extension, Json, extract::State};
use futures::future::join_all;
use jiff::Timestamp;
use orders::{
    Invalid, Sku,
    catalogue::{Category, Fault, Product, ProductDraft},
};
use serde::{Deserialize, Serialize};
use store::catalogue::Catalogue;
use store::{
    AuditEntry, AuditOutcome, Database, StoreError,
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
    audit::{Changed, count_failures},
    authorization::Caller,
    problem::{Problem, ProblemType},
    query::Query,
    request::Csv,
};

/// The largest piece, in bytes. API Gateway passes it as a JSON string, which may double its size,
/// and a Lambda accepts at most 6 MB. With the longest texts, fewer than 500 rows fit.
pub(crate) const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The most lines of a file.
const MAX_LINES: u32 = 20_000;

/// How many products are written concurrently.
const AT_ONCE: usize = 8;

/// The length in characters to which the report cuts a SKU, which may be invalid and long.
const MAX_REPORTED_SKU: usize = 60;

/// The result of importing a piece.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportReport {
    /// The id of the file.
    import: Uuid,
    /// `true` if nothing was written, and the report says what would have been.
    dry_run: bool,
    /// The number of rows that created a product.
    created: usize,
    /// The number of rows that changed a product.
    changed: usize,
    /// The number of rows that equal the stored product.
    unchanged: usize,
    /// The number of rows that were refused. They had no effect.
    refused: usize,
    /// Each row, in the order of the file.
    rows: Vec<ImportedRow>,
}

/// The result of importing a row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportedRow {
    /// The line of the file in which the row begins.
    line: u32,
    /// The SKU as it is in the row.
    sku: String,
    outcome: ImportOutcome,
    /// All faults of a refused row, each with its column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

/// The outcome of importing a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ImportOutcome {
    /// The row created a product.
    Created,
    /// The row changed a product.
    Changed,
    /// The row equals the stored product.
    Unchanged,
    /// The row has faults and had no effect.
    Refused,
}

/// The parameters of a piece.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Piece {
    /// The id of the file, made by the caller. All pieces of a file have the same.
    import: Uuid,
    /// The line of the file in which the first row of this piece begins. 2 by default.
    #[serde(default)]
    #[param(inline)]
    first_line: FirstLine,
    /// `true` reports what the import would do, without writing.
    #[serde(default)]
    dry_run: bool,
}

/// A line of a file, after the header row.
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

/// A written product.
struct Written {
    before: Option<Product>,
    after: Product,
}

/// Creates and changes products from a CSV file.
///
/// The file is sent in pieces of at most 500 rows and 2 MiB, each with the header row. A piece that
/// is not UTF-8 or has an invalid header is refused as a whole: `400 invalid-csv`. Otherwise each
/// row is applied or refused on its own, and the response lists the faults.
///
/// The columns are those of the export. `sku`, `category`, `title.en`, `title.es`,
/// `description.en`, `description.es`, `price.cents` and `price.currency` are required. A missing
/// column for `image` or an attribute leaves the value as it is, and an empty cell removes it.
///
/// A row is refused
/// - if it has a `version` and the product has changed since,
/// - if a cell begins like a formula (`=`, `+`, `-`, `@`), except after an apostrophe or for a
///   number in a column of numbers,
/// - if the product is in an earlier row of the file.
#[utoipa::path(post, path = "/v1/products/import", operation_id = "import_products", tag = "catalogue",
    params(Piece), request_body(content = String, content_type = "text/csv"), responses((status = 200, body = ImportReport), Failures))]
pub(crate) async fn import(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Extension(trace): Extension<TraceId>,
    piece: Result<Query<Piece>, Problem>,
    Csv(bytes): Csv,
) -> Result<(Extension<Changed>, Json<ImportReport>), Problem> {
    // The media type and the size of the body are checked before the parameters.
    let Query(piece) = piece?;
    let categories = state.catalogue.categories().await?;
    let table = Table::read(&bytes, piece.first_line.0, &categories)?;
    check_limits(&table)?;
    let rows = check_rows(
        &state.database,
        &state.catalogue,
        &piece,
        &table,
        &categories,
    )
    .await?;
    let rows = if piece.dry_run {
        rows.into_iter().map(CheckedRow::report).collect()
    } else {
        let (rows, written) = apply_rows(&state.catalogue, rows).await;
        audit_products(&state.database, &written, &caller, trace).await;
        rows?
    };
    let report = ImportReport::of(&piece, rows);
    let changed = Extension(Changed::new(&(), &report.summary()));
    Ok((changed, Json(report)))
}

fn check_limits(table: &Table) -> Result<(), Problem> {
    let invalid = |detail: String| Err(Problem::new(ProblemType::InvalidCsv, detail).at("body"));
    match table.rows.last() {
        None => invalid("The file has no rows.".to_owned()),
        Some(last) if last.line > MAX_LINES => invalid(format!(
            "A file may have at most {MAX_LINES} lines. Split it into several files."
        )),
        Some(_) => Ok(()),
    }
}

/// A row with the decision about it.
struct CheckedRow {
    line: u32,
    /// The SKU as it is in the row.
    sku: String,
    stored: Option<VersionedProduct>,
    verdict: Verdict,
}

/// Decides about each row, without writing.
async fn check_rows(
    database: &Database,
    catalogue: &Catalogue,
    piece: &Piece,
    table: &Table,
    categories: &[Category],
) -> Result<Vec<CheckedRow>, StoreError> {
    let skus: Vec<Result<Sku, Fault>> = table.rows.iter().map(|row| row.sku(table)).collect();
    let first = first_rows(&table.rows, &skus);
    let lines: Vec<(&Sku, i32)> = first
        .iter()
        .map(|(sku, line)| (*sku, line.cast_signed()))
        .collect();
    let distinct: Vec<Sku> = first.keys().map(|sku| (*sku).clone()).collect();
    let (first_lines, mut versioned_products) = tokio::try_join!(
        database
            .imports()
            .record_first_lines(piece.import, &lines, Timestamp::now()),
        catalogue.versioned_products(&distinct),
    )?;
    let checked = table.rows.iter().zip(&skus).map(|(row, sku)| {
        let (stored, verdict) = match sku {
            Err(fault) => (None, Verdict::Refused(vec![fault.clone()])),
            Ok(sku) => match first_lines.get(sku.as_str()) {
                Some(line) if line.cast_unsigned() != row.line => (None, refuse_repeated(*line)),
                _ => {
                    let stored = versioned_products.remove(sku);
                    let verdict = row.verdict(table, sku, stored.as_ref(), categories);
                    (stored, verdict)
                }
            },
        };
        CheckedRow {
            line: row.line,
            sku: row.sku_cell(table).chars().take(MAX_REPORTED_SKU).collect(),
            stored,
            verdict,
        }
    });
    Ok(checked.collect())
}

/// Applies the rows until the catalogue fails. Also returns what was written, in either case.
async fn apply_rows(
    catalogue: &Catalogue,
    rows: Vec<CheckedRow>,
) -> (Result<Vec<ImportedRow>, StoreError>, Vec<Written>) {
    let (mut reports, mut all_written) = (Ok(Vec::with_capacity(rows.len())), Vec::new());
    let mut rows = rows.into_iter();
    while reports.is_ok() && rows.len() > 0 {
        let batch = rows.by_ref().take(AT_ONCE);
        for applied in join_all(batch.map(|row| apply_row(catalogue, row))).await {
            match applied {
                Ok((report, written)) => {
                    all_written.extend(written);
                    if let Ok(reports) = &mut reports {
                        reports.push(report);
                    }
                }
                Err(error) => reports = Err(error),
            }
        }
    }
    (reports, all_written)
}

async fn apply_row(
    catalogue: &Catalogue,
    mut row: CheckedRow,
) -> Result<(ImportedRow, Option<Written>), StoreError> {
    let Verdict::Write(product) = &row.verdict else {
        return Ok((row.report(), None));
    };
    let product = Product::clone(product);
    let fault = match catalogue.replace(row.stored.as_ref(), product).await {
        Ok(versioned) => {
            let written = Written {
                before: row.stored.as_ref().map(|stored| stored.product.clone()),
                after: versioned.product,
            };
            return Ok((row.report(), Some(written)));
        }
        Err(EditError::Stale) => Fault::new(
            "row",
            "another request has just changed the product: send the row again",
        ),
        Err(EditError::TooManyTerms) => too_many_terms(),
        Err(EditError::Store(error)) => return Err(error),
    };
    row.verdict = Verdict::Refused(vec![fault]);
    Ok((row.report(), None))
}

/// Writes a row of the audit log for each product, as if it had been put by itself.
async fn audit_products(database: &Database, written: &[Written], caller: &Caller, trace: TraceId) {
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
    let now = Timestamp::now();
    if let Err(error) = database.audit().record_all(&entries, now).await {
        tracing::error!(%error, rows = entries.len(), "audit.failed");
        count_failures(entries.len(), now);
    }
}

/// The line of the first row of each product in this piece.
fn first_rows<'a>(rows: &[Row], skus: &'a [Result<Sku, Fault>]) -> HashMap<&'a Sku, u32> {
    let mut first = HashMap::with_capacity(rows.len());
    for (row, sku) in rows.iter().zip(skus) {
        if let Ok(sku) = sku {
            first.entry(sku).or_insert(row.line);
        }
    }
    first
}

fn refuse_repeated(line: i32) -> Verdict {
    let detail = format!("is already in line {line} of the file");
    Verdict::Refused(vec![Fault::new("sku", detail)])
}

impl CheckedRow {
    /// The row's report, provided that its verdict is carried out.
    fn report(self) -> ImportedRow {
        let (outcome, errors) = match self.verdict {
            Verdict::Unchanged => (ImportOutcome::Unchanged, Vec::new()),
            Verdict::Write(_) if self.stored.is_some() => (ImportOutcome::Changed, Vec::new()),
            Verdict::Write(_) => (ImportOutcome::Created, Vec::new()),
            Verdict::Refused(faults) => (ImportOutcome::Refused, faults),
        };
        ImportedRow {
            line: self.line,
            sku: self.sku,
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

    /// The report for the audit log, without its rows: each product has its own row there.
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
    fn a_piece_names_its_file() {
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
    fn a_piece_with_invalid_parameters_is_refused() {
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

//! Products as CSV: a row for each product, a column for each path in its document. Importing an
//! exported file changes nothing.
//!
//! A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` as a formula. Text that begins
//! so is exported with an apostrophe before it, which the import removes. The import refuses such a
//! cell without the apostrophe.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use csv::{ReaderBuilder, StringRecord, Trim, Writer};
use orders::{
    Sku,
    catalogue::{Category, Fault, LocalizedText, PriceDraft, Product, ProductDraft},
};
use store::catalogue::{Version, VersionedProduct};
use strum::{EnumIter, EnumString, IntoEnumIterator, IntoStaticStr};

use super::editor::check_product;
use crate::problem::{Problem, ProblemType};

/// The most rows of a table.
pub(super) const MAX_ROWS: usize = 500;

/// The prefix of the columns of attributes.
const ATTRIBUTES: &str = "attributes.";

/// The characters with which a formula begins in spreadsheets.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// A column that every product has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, EnumString, IntoStaticStr)]
enum Field {
    #[strum(serialize = "sku")]
    Sku,
    #[strum(serialize = "version")]
    Version,
    #[strum(serialize = "category")]
    Category,
    #[strum(serialize = "title.en")]
    TitleEn,
    #[strum(serialize = "title.es")]
    TitleEs,
    #[strum(serialize = "description.en")]
    DescriptionEn,
    #[strum(serialize = "description.es")]
    DescriptionEs,
    #[strum(serialize = "price.cents")]
    PriceCents,
    #[strum(serialize = "price.currency")]
    PriceCurrency,
    #[strum(serialize = "image")]
    Image,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Field(Field),
    /// The attribute of that name.
    Attribute(String),
}

/// The columns of a table, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns(Vec<Column>);

/// A table to import.
#[derive(Debug)]
pub(super) struct Table {
    columns: Columns,
    pub(super) rows: Vec<Row>,
}

/// A row of a table to import.
#[derive(Debug)]
pub(super) struct Row {
    /// The line of the file in which it begins.
    pub(super) line: u32,
    cells: StringRecord,
}

/// The decision about a row.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// The stored product equals the row.
    Unchanged,
    /// The product is to be written.
    Write(Box<Product>),
    /// The row has faults and is not applied.
    Refused(Vec<Fault>),
}

impl Field {
    fn name(self) -> &'static str {
        self.into()
    }

    /// Whether a table may lack the column. The stored value then stays.
    const fn is_optional(self) -> bool {
        matches!(self, Self::Image | Self::Version)
    }
}

impl Column {
    fn name(&self) -> String {
        match self {
            Self::Field(field) => field.name().to_owned(),
            Self::Attribute(name) => format!("{ATTRIBUTES}{name}"),
        }
    }
}

impl Columns {
    /// All columns for products of these categories.
    pub(super) fn of<'a>(categories: impl IntoIterator<Item = &'a Category>) -> Self {
        let attributes = categories.into_iter().flat_map(|it| &it.attributes);
        let attributes: BTreeSet<&str> = attributes.map(|it| it.name.as_str()).collect();
        let attributes = attributes.into_iter().map(str::to_owned);
        let fields = Field::iter().map(Column::Field);
        Self(fields.chain(attributes.map(Column::Attribute)).collect())
    }

    /// Reads the columns from a header row.
    fn read(header: &StringRecord, categories: &[Category]) -> Result<Self, Problem> {
        let known = Self::of(categories).0;
        let mut columns = Vec::with_capacity(header.len());
        for name in header {
            let column = known.iter().find(|column| column.name() == name);
            let column =
                column.ok_or_else(|| invalid_header(&format!("there is no column {name:?}")))?;
            if columns.contains(column) {
                let detail = format!("the column {name:?} is there twice");
                return Err(invalid_header(&detail));
            }
            columns.push(column.clone());
        }
        let missing = Field::iter()
            .filter(|field| !field.is_optional() && !columns.contains(&Column::Field(*field)));
        let missing: Vec<&str> = missing.map(Field::name).collect();
        if missing.is_empty() {
            Ok(Self(columns))
        } else {
            let missing = missing.join(", ");
            Err(invalid_header(&format!(
                "these columns are missing: {missing}"
            )))
        }
    }

    fn position(&self, field: Field) -> Option<usize> {
        let mut columns = self.0.iter();
        columns.position(|column| *column == Column::Field(field))
    }
}

/// Writes the products as CSV, with the header row or without.
pub(super) fn write(
    columns: &Columns,
    with_header: bool,
    versioned_products: &[VersionedProduct],
) -> Result<Vec<u8>, csv::Error> {
    let mut table = Writer::from_writer(Vec::new());
    if with_header {
        table.write_record(columns.0.iter().map(Column::name))?;
    }
    for versioned in versioned_products {
        let draft = ProductDraft::from(&versioned.product);
        let cells = columns
            .0
            .iter()
            .map(|column| cell(column, versioned, &draft));
        table.write_record(cells)?;
    }
    table
        .into_inner()
        .map_err(|error| error.into_error().into())
}

fn cell(column: &Column, versioned: &VersionedProduct, draft: &ProductDraft) -> String {
    let text = match column {
        Column::Field(field) => match field {
            Field::Sku => versioned.product.sku.as_str(),
            Field::Version => return versioned.version.to_string(),
            Field::Category => &draft.category,
            Field::TitleEn => &draft.title.en,
            Field::TitleEs => &draft.title.es,
            Field::DescriptionEn => &draft.description.en,
            Field::DescriptionEs => &draft.description.es,
            Field::PriceCents => return draft.price.cents.to_string(),
            Field::PriceCurrency => &draft.price.currency,
            Field::Image => &draft.image,
        },
        Column::Attribute(name) => match draft.attributes.get(name) {
            Some(serde_json::Value::String(text)) => text,
            Some(value) => return value.to_string(),
            None => "",
        },
    };
    escape_formula(text).into_owned()
}

/// The text for a cell, with an apostrophe before a formula.
fn escape_formula(text: &str) -> Cow<'_, str> {
    if text.trim_start_matches('\'').starts_with(FORMULA) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text of a cell, without the apostrophe of [`escape_formula`]. An error if it is a formula.
fn unescape_cell(cell: &str) -> Result<&str, String> {
    if cell.starts_with(FORMULA) {
        let rule = "begins like a formula: put an apostrophe (') before it if it is text";
        return Err(rule.to_owned());
    }
    let escaped = cell.strip_prefix('\'');
    let escaped = escaped.filter(|rest| rest.trim_start_matches('\'').starts_with(FORMULA));
    Ok(escaped.unwrap_or(cell))
}

impl Table {
    /// Reads a table whose first row is in line `first_line` of its file.
    ///
    /// Columns are separated by commas, or by semicolons if the header row has those and no comma.
    pub(super) fn read(
        bytes: &[u8],
        first_line: u32,
        categories: &[Category],
    ) -> Result<Self, Problem> {
        let text = utf8(bytes, first_line)?;
        let header = text.lines().next().unwrap_or_default();
        let semicolons = header.contains(';') && !header.contains(',');
        let mut reader = ReaderBuilder::new()
            .delimiter(if semicolons { b';' } else { b',' })
            .flexible(true)
            .trim(Trim::All)
            .from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| invalid_csv(&error))?;
        let columns = Columns::read(&header.clone(), categories)?;
        let mut rows = Vec::new();
        for cells in reader.records() {
            let cells = cells.map_err(|error| invalid_csv(&error))?;
            // Spreadsheets write an empty row as commas.
            if cells.iter().all(str::is_empty) {
                continue;
            }
            if rows.len() == MAX_ROWS {
                return Err(too_many_rows());
            }
            let line = cells.position().map_or(2, csv::Position::line);
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            rows.push(Row {
                line: file_line(line, first_line),
                cells,
            });
        }
        Ok(Self { columns, rows })
    }
}

/// The line of the file for a `line` of the piece, whose line 1 is the header row.
fn file_line(line: u32, first_line: u32) -> u32 {
    first_line.saturating_add(line.saturating_sub(2))
}

fn utf8(bytes: &[u8], first_line: u32) -> Result<&str, Problem> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes);
    let broken = match text {
        // A program on the way may have replaced invalid UTF-8 with this character.
        Ok(text) => text.find(char::REPLACEMENT_CHARACTER),
        Err(error) => Some(error.valid_up_to()),
    };
    match (text, broken) {
        (Ok(text), None) => Ok(text),
        (_, broken) => {
            let before = &bytes[..broken.unwrap_or_default()];
            let line = before.split(|byte| *byte == b'\n').count();
            let line = match u32::try_from(line).unwrap_or(u32::MAX) {
                1 => 1,
                line => file_line(line, first_line),
            };
            let detail = format!("Line {line} is not UTF-8. Save the file as \"CSV UTF-8\".");
            Err(Problem::new(ProblemType::InvalidCsv, detail).at("body"))
        }
    }
}

fn invalid_header(detail: &str) -> Problem {
    let detail = format!("The first line must name the columns: {detail}.");
    Problem::new(ProblemType::InvalidCsv, detail).at("header")
}

fn too_many_rows() -> Problem {
    let detail = format!("A request may have at most {MAX_ROWS} rows. Send the file in pieces.");
    Problem::new(ProblemType::InvalidCsv, detail).at("body")
}

fn invalid_csv(error: &csv::Error) -> Problem {
    Problem::new(ProblemType::InvalidCsv, error.to_string()).at("body")
}

impl Row {
    /// The text of the SKU's cell.
    pub(super) fn sku_cell(&self, table: &Table) -> &str {
        self.get(table, Field::Sku)
    }

    /// The SKU. An error if it is not valid, or if the row does not have one cell for each column.
    pub(super) fn sku(&self, table: &Table) -> Result<Sku, Fault> {
        let width = table.columns.0.len();
        if self.cells.len() != width {
            let cells = self.cells.len();
            let detail = format!("has {cells} cells, but the first line names {width} columns");
            return Err(Fault::new("row", detail));
        }
        let sku = unescape_cell(self.sku_cell(table)).map_err(|rule| Fault::new("sku", rule))?;
        sku.parse()
            .map_err(|rule: orders::Invalid| Fault::new("sku", rule.to_string()))
    }

    /// Decides about the row, given the stored product.
    pub(super) fn verdict(
        &self,
        table: &Table,
        sku: &Sku,
        stored: Option<&VersionedProduct>,
        categories: &[Category],
    ) -> Verdict {
        let (draft, mut faults) = self.draft(table, stored, categories);
        let product = check_product(&draft, sku, categories);
        if let Err(more) = &product {
            // One fault for each field is enough: a cell that could not be parsed is also invalid.
            let new = |fault: &&Fault| !faults.iter().any(|known| known.field == fault.field);
            let new: Vec<Fault> = more.iter().filter(new).cloned().collect();
            faults.extend(new);
        }
        match (product, stored) {
            (Ok(product), Some(stored)) if faults.is_empty() && product == stored.product => {
                Verdict::Unchanged
            }
            (Ok(product), stored) if faults.is_empty() => match self.version_fault(table, stored) {
                None => Verdict::Write(Box::new(product)),
                Some(fault) => Verdict::Refused(vec![fault]),
            },
            _ => Verdict::Refused(faults),
        }
    }

    /// The stored product's document with the cells of the row, and the faults of cells that cannot
    /// be parsed. Missing columns leave the stored values.
    fn draft(
        &self,
        table: &Table,
        stored: Option<&VersionedProduct>,
        categories: &[Category],
    ) -> (ProductDraft, Vec<Fault>) {
        let mut draft = stored.map_or_else(empty_draft, |it| ProductDraft::from(&it.product));
        let mut faults = Vec::new();
        let category = self.get(table, Field::Category);
        let category = categories.iter().find(|it| it.id.as_str() == category);
        for (column, cell) in table.columns.0.iter().zip(&self.cells) {
            let written = match column {
                Column::Field(field) => field.write(cell, &mut draft),
                Column::Attribute(name) => write_attribute(name, cell, category, &mut draft),
            };
            if let Err(detail) = written {
                faults.push(Fault::new(column.name(), detail));
            }
        }
        (draft, faults)
    }

    /// The fault of a row whose `version` is not that of the stored product.
    fn version_fault(&self, table: &Table, stored: Option<&VersionedProduct>) -> Option<Fault> {
        let version = self.get(table, Field::Version);
        if version.is_empty() {
            return None;
        }
        let same = Version::from_str(version).ok().zip(stored);
        if same.is_some_and(|(version, stored)| version == stored.version) {
            return None;
        }
        let detail = "the product has changed since the export: export it again, or empty this cell \
                      to overwrite the change";
        Some(Fault::new("version", detail))
    }

    fn get(&self, table: &Table, field: Field) -> &str {
        let position = table.columns.position(field);
        let cell = position.and_then(|position| self.cells.get(position));
        cell.unwrap_or_default()
    }
}

impl Field {
    /// Writes the value of the cell into the draft.
    fn write(self, cell: &str, draft: &mut ProductDraft) -> Result<(), String> {
        let text = match self {
            Self::Sku | Self::Version => return Ok(()),
            Self::PriceCents => {
                let cents = cell.parse::<i64>();
                draft.price.cents =
                    cents.map_err(|_| "must be whole cents without separators, such as 1250")?;
                return Ok(());
            }
            Self::Category => &mut draft.category,
            Self::TitleEn => &mut draft.title.en,
            Self::TitleEs => &mut draft.title.es,
            Self::DescriptionEn => &mut draft.description.en,
            Self::DescriptionEs => &mut draft.description.es,
            Self::PriceCurrency => &mut draft.price.currency,
            Self::Image => &mut draft.image,
        };
        unescape_cell(cell)?.clone_into(text);
        Ok(())
    }
}

fn write_attribute(
    name: &str,
    cell: &str,
    category: Option<&Category>,
    draft: &mut ProductDraft,
) -> Result<(), String> {
    draft.attributes.remove(name);
    if cell.is_empty() {
        return Ok(());
    }
    let definition = category.and_then(|it| it.attribute(name));
    let value = match definition.map(|definition| definition.read(cell)) {
        Some(value) if !value.is_string() => value,
        _ => unescape_cell(cell)?.into(),
    };
    draft.attributes.insert(name.to_owned(), value);
    Ok(())
}

fn empty_draft() -> ProductDraft {
    let text = || LocalizedText {
        en: String::new(),
        es: String::new(),
    };
    ProductDraft {
        category: String::new(),
        title: text(),
        description: text(),
        price: PriceDraft {
            cents: 0,
            currency: String::new(),
        },
        attributes: BTreeMap::new(),
        image: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use orders::catalogue::AttributeDefinition;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const HEADER: &str = "sku,category,title.en,title.es,description.en,description.es,\
                          price.cents,price.currency,attributes.grams,attributes.organic";
    const VERSION: &str = "0190f3c0-0000-7000-8000-000000000001";

    fn category(id: &str, attributes: &[(&str, &[&str])]) -> Category {
        let text = |text: &str| LocalizedText {
            en: text.to_owned(),
            es: text.to_owned(),
        };
        let attributes = attributes.iter().map(|(name, values)| AttributeDefinition {
            name: (*name).to_owned(),
            title: text(name),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        });
        Category {
            id: id.parse().unwrap(),
            title: text(id),
            attributes: attributes.collect(),
        }
    }

    fn categories() -> Vec<Category> {
        vec![
            category(
                "tea",
                &[
                    ("grams", &["-5", "100"]),
                    ("organic", &["false", "true"]),
                    ("note", &[]),
                ],
            ),
            category("books", &[("pages", &["32", "64"])]),
        ]
    }

    fn versioned(title: &str, attributes: &BTreeMap<&str, Value>) -> Option<VersionedProduct> {
        let draft: ProductDraft = serde_json::from_value(json!({
            "category": "tea",
            "title": { "en": title, "es": "Té verde" },
            "description": { "en": "It is green, \"very\"; green.", "es": "Es verde." },
            "price": { "cents": 1250, "currency": "EUR" },
            "attributes": attributes,
        }))
        .unwrap();
        let product = draft.check(&"TEA-1".parse().unwrap(), &categories()).ok()?;
        let version = VERSION.parse().unwrap();
        Some(VersionedProduct { product, version })
    }

    fn tea() -> VersionedProduct {
        let attributes = BTreeMap::from([("grams", json!(100)), ("organic", json!(true))]);
        versioned("Green tea", &attributes).unwrap()
    }

    fn read(text: &str) -> Table {
        Table::read(text.as_bytes(), 2, &categories()).unwrap()
    }

    /// The verdict on the first row.
    fn verdict(text: &str, stored: Option<&VersionedProduct>) -> Verdict {
        let table = read(text);
        let row = &table.rows[0];
        match row.sku(&table) {
            Ok(sku) => row.verdict(&table, &sku, stored, &categories()),
            Err(fault) => Verdict::Refused(vec![fault]),
        }
    }

    /// The fields of the first row's faults.
    fn refused(text: &str, stored: Option<&VersionedProduct>) -> Vec<String> {
        let Verdict::Refused(faults) = verdict(text, stored) else {
            panic!("{text} is not refused");
        };
        faults.into_iter().map(|fault| fault.field).collect()
    }

    /// The problem of a table that cannot be read, whose first row is in line 10 of its file.
    fn problem(bytes: &[u8]) -> Value {
        Table::read(bytes, 10, &categories()).unwrap_err().summary()
    }

    #[test]
    fn a_row_creates_a_product() {
        let row = "TEA-1,tea,Green tea,Té verde,It is green.,Es verde.,1250,EUR,100,TRUE";
        let Verdict::Write(product) = verdict(&format!("{HEADER}\n{row}\n"), None) else {
            panic!("it is refused");
        };
        assert_eq!(product.title.es, "Té verde");
        assert_eq!(product.attributes, tea().product.attributes);
    }

    #[test]
    fn missing_columns_leave_the_stored_values() {
        let header = "sku,category,title.en,title.es,description.en,description.es,price.cents,\
                      price.currency";
        let row = "TEA-1,tea,Black tea,Té negro,It is black.,Es negro.,1250,EUR";
        let Verdict::Write(product) = verdict(&format!("{header}\n{row}"), Some(&tea())) else {
            panic!("it is refused");
        };
        assert_eq!(product.attributes, tea().product.attributes);
    }

    #[test]
    fn an_empty_cell_removes_an_attribute() {
        let row = "TEA-1,tea,Green tea,Té verde,It is green.,Es verde.,1250,EUR,,true";
        let Verdict::Write(product) = verdict(&format!("{HEADER}\n{row}"), Some(&tea())) else {
            panic!("it is refused");
        };
        assert!(!product.attributes.contains_key("grams"));
    }

    #[test]
    fn all_faults_of_a_row_are_reported() {
        let row = "TEA-1,tea,=1+1,,It is green.,Es verde.,12.50,euro,75,maybe";
        let fields = refused(&format!("{HEADER}\n{row}"), None);
        let expected = [
            "title.en",
            "price.cents",
            "title.es",
            "price.currency",
            "attributes.grams",
            "attributes.organic",
        ];
        assert_eq!(fields, expected);
        let short = "TEA-1,tea,Green tea";
        assert_eq!(refused(&format!("{HEADER}\n{short}"), None), ["row"]);
        let unnamed = ",tea,Green tea,Té verde,It is green.,Es verde.,1250,EUR,100,true";
        assert_eq!(refused(&format!("{HEADER}\n{unnamed}"), None), ["sku"]);
        let book = "BOOK-1,books,Tales,Cuentos,Old.,Viejos.,1250,EUR,100,";
        let fields = refused(&format!("{HEADER}\n{book}"), None);
        assert_eq!(fields, ["attributes.grams"]);
    }

    #[test]
    fn a_price_must_be_one_that_the_provider_can_charge() {
        for (cents, currency, field) in [
            ("1250", "RSD", "price.currency"),
            ("1250", "ISK", "price.cents"),
            ("1255", "KWD", "price.cents"),
            ("100000000", "EUR", "price.cents"),
        ] {
            let row = format!("TEA-1,tea,Tea,Té,Tea.,Té.,{cents},{currency},100,true");
            let fields = refused(&format!("{HEADER}\n{row}"), Some(&tea()));
            assert_eq!(fields, [field], "{cents} {currency}");
        }
    }

    #[test]
    fn a_price_with_a_separator_is_refused() {
        for (cents, currency) in [
            ("1.250", "EUR"),
            ("\"1,250\"", "EUR"),
            ("1.250", "KWD"),
            ("12.50", "EUR"),
            ("1 250", "EUR"),
            ("1'250", "EUR"),
        ] {
            let row = format!("TEA-1,tea,Tea,Té,Tea.,Té.,{cents},{currency},100,true");
            let fields = refused(&format!("{HEADER}\n{row}"), Some(&tea()));
            assert_eq!(fields, ["price.cents"], "{cents} {currency}");
        }
    }

    #[test]
    fn a_product_of_an_unsupported_currency_can_be_exported() {
        let mut stored = tea();
        stored.product.price.currency = "RSD".parse().unwrap();
        let columns = Columns::of(&categories());
        let bytes = write(&columns, true, std::slice::from_ref(&stored)).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(refused(&text, Some(&stored)), ["price.currency"]);
        let corrected = text.replace("RSD", "EUR");
        let corrected = verdict(&corrected, Some(&stored));
        assert!(matches!(corrected, Verdict::Write(_)));
    }

    #[test]
    fn formulas_are_refused_but_not_numbers_or_escaped_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1"] {
            let row = format!("TEA-1,tea,{formula},Té,Tea.,Té.,1250,EUR,100,true");
            let fields = refused(&format!("{HEADER}\n{row}"), None);
            assert_eq!(fields, ["title.en"], "{formula}");
        }
        let row = "TEA-1,tea,'=1+1,Té,Tea.,Té.,1250,EUR,-5,true";
        let Verdict::Write(product) = verdict(&format!("{HEADER}\n{row}"), None) else {
            panic!("it is refused");
        };
        assert_eq!(product.title.en, "=1+1");
    }

    #[test]
    fn a_row_of_an_old_version_does_not_overwrite_a_newer_one() {
        let header = format!("{HEADER},version");
        let row = "TEA-1,tea,Black tea,Té,Tea.,Té.,1250,EUR,100,true";
        let stored = tea();
        let other = "0190f3c0-0000-7000-8000-00000000000f";
        for (version, stored) in [
            (other, Some(&stored)),
            (VERSION, None),
            ("1", Some(&stored)),
        ] {
            let text = format!("{header}\n{row},{version}");
            assert_eq!(refused(&text, stored), ["version"], "{version}");
        }
        for version in [VERSION, ""] {
            let text = format!("{header}\n{row},{version}");
            let written = verdict(&text, Some(&stored));
            assert!(matches!(written, Verdict::Write(_)), "{version}");
        }
    }

    #[test]
    fn a_file_of_a_spanish_spreadsheet_is_read() {
        let row = "TEA-1;tea;Green tea;Té verde;Green, very;Es verde.;1250;EUR;100;true";
        let text = format!(
            "\u{FEFF}{}\r\n{row}\r\n;;;;;;;;;\r\n",
            HEADER.replace(',', ";")
        );
        let table = read(&text);
        assert_eq!(table.rows.len(), 1);
        assert!(matches!(verdict(&text, None), Verdict::Write(_)));
    }

    #[test]
    fn a_file_with_an_invalid_header_or_too_many_rows_is_refused_as_a_whole() {
        for (text, field) in [
            ("", "header"),
            ("TEA-1,tea,Green tea", "header"),
            ("sku,category,title.en", "header"),
            (&format!("{HEADER},colour"), "header"),
            (&format!("{HEADER},sku"), "header"),
            (&format!("{HEADER}\n{}", "x\n".repeat(501)), "body"),
        ] {
            let problem = problem(text.as_bytes());
            assert_eq!(problem["problem"], "invalid-csv", "{text}");
            assert_eq!(problem["field"], field, "{text}");
        }
    }

    #[test]
    fn invalid_utf_8_is_refused_with_its_line() {
        let latin = [HEADER.as_bytes(), b"\nTEA-1,tea\nTEA-2,t\xE9"].concat();
        let replaced = format!("{HEADER}\nTEA-1,tea\nTEA-2,t\u{FFFD}");
        for bytes in [latin.as_slice(), replaced.as_bytes()] {
            let detail = problem(bytes)["detail"].to_string();
            assert!(detail.contains("Line 11 is not UTF-8"), "{detail}");
        }
        let utf16 = problem(b"\xFF\xFEs\0k\0u\0");
        assert!(utf16["detail"].to_string().contains("Line 1 "), "{utf16}");
    }

    #[test]
    fn the_lines_of_rows_are_those_of_the_file() {
        let text = format!("{HEADER}\n\"a\nb\"\nc\n");
        let table = Table::read(text.as_bytes(), 502, &categories()).unwrap();
        let lines: Vec<u32> = table.rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [502, 504]);
    }

    proptest! {
        #[test]
        fn importing_an_exported_product_changes_nothing(
            title in "['=+@\\-a-z\",;\\\\é]{0,3}\\PC{1,40}",
            attributes in prop::collection::btree_map(
                prop::sample::select(vec!["grams", "organic", "note"]),
                prop_oneof![
                    prop::sample::select(vec![json!(-5), json!(100), json!(true), json!("=1")]),
                    "['=\\-a-z,]{1,6}".prop_map(Value::from),
                ],
                0..3,
            ),
        ) {
            if let Some(versioned) = versioned(&title, &attributes) {
                let columns = Columns::of(&categories());
                let bytes = write(&columns, true, std::slice::from_ref(&versioned)).unwrap();
                let text = String::from_utf8(bytes).unwrap();
                prop_assert_eq!(verdict(&text, Some(&versioned)), Verdict::Unchanged, "{}", text);
            }
        }

        #[test]
        fn no_exported_cell_is_a_formula(text in "['=+@\\-a-z]{0,8}") {
            let cell = escape_formula(&text);
            prop_assert!(!cell.starts_with(FORMULA));
            prop_assert_eq!(unescape_cell(&cell), Ok(text.as_str()));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let whole = [HEADER.as_bytes(), b"\n", &bytes].concat();
            if let Ok(table) = Table::read(&whole, 2, &categories()) {
                for row in &table.rows {
                    if let Ok(sku) = row.sku(&table) {
                        row.verdict(&table, &sku, None, &categories());
                    }
                }
            }
        }
    }
}

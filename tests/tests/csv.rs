//! Import and export of products as CSV files.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Person, Response, Stack};
use uuid::Uuid;

const HEADER: &str = "sku,category,title.en,title.es,description.en,description.es,price.cents,\
                      price.currency,attributes.origin,attributes.organic";

/// A SKU that no other test uses.
fn new_sku() -> String {
    format!("STORY-{}", Uuid::new_v4().simple()).to_uppercase()
}

/// A row that creates a product with this title.
fn row(sku: &str, title: &str) -> String {
    format!("{sku},tea,{title},Té de nubes,Tea.,Té.,1250,EUR,Japan,true")
}

/// Imports a part of a file.
async fn import(person: &Person, query: &str, body: impl Into<reqwest::Body>) -> Response {
    let path = format!("/v1/products/import?{query}");
    let request = person.request(Method::POST, &path);
    let request = request.header("Content-Type", "text/csv; charset=utf-8");
    Response::of(request.body(body)).await
}

fn new_import() -> String {
    format!("import={}", Uuid::new_v4())
}

/// An exported page, and the path of the next one.
async fn export(person: &Person, path: &str) -> (String, Option<String>) {
    let response = person.get(path).await.with_status(200);
    assert!(response.header("content-type").starts_with("text/csv"));
    let link = response.header("link");
    let next = link.strip_prefix('<').and_then(|link| link.split_once('>'));
    let next = next.map(|(next, rest)| {
        assert_eq!(rest, "; rel=\"next\"");
        next.to_owned()
    });
    (response.body, next)
}

/// The number of rows by result.
fn counts(report: &Value) -> [u64; 4] {
    ["created", "changed", "unchanged", "refused"].map(|end| report[end].as_u64().unwrap())
}

async fn delete(manager: &Person, sku: &str) {
    let path = format!("/v1/products/{sku}");
    let read = manager.get(&format!("{path}/document")).await;
    let request = manager.request(Method::DELETE, &path);
    let request = request.header("If-Match", read.header("etag"));
    Response::of(request).await.with_status(204);
}

#[tokio::test]
async fn importing_an_export_changes_nothing() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    let import_id = new_import();
    let (mut next, mut header, mut line) =
        (Some("/v1/products/export".to_owned()), String::new(), 2);
    while let Some(path) = next {
        let (page, more) = export(&manager, &path).await;
        // Other tests change theirs at the same time.
        let mut rows: Vec<&str> = page
            .lines()
            .filter(|row| !row.starts_with("STORY-"))
            .collect();
        if header.is_empty() {
            header = rows.remove(0).to_owned();
        }
        let query = format!("{import_id}&first_line={line}");
        let part = format!("{header}\n{}\n", rows.join("\n"));
        let report: Value = import(&manager, &query, part).await.with_status(200).json();
        assert_eq!(counts(&report), [0, 0, rows.len() as u64, 0], "{report}");
        line += rows.len();
        next = more;
    }
    assert!(line > 1_000, "{line}");
}

#[tokio::test]
async fn rows_create_and_change_products_and_report_their_results() {
    let stack = Stack::find();
    let (manager, database) = (
        stack.staff("catalogue-manager").await,
        stack.database().await,
    );
    let (good, bad) = (new_sku(), new_sku());
    let file = format!(
        "{HEADER}\n{}\n{}\n",
        row(&good, "Cloud tea"),
        row(&bad, "=1+1")
    );

    let import_id = new_import();
    let dry = import(&manager, &format!("{import_id}&dry_run=true"), file.clone()).await;
    let dry: Value = dry.with_status(200).json();
    assert_eq!(counts(&dry), [1, 0, 0, 1]);
    let path = format!("/v1/products/{good}/document");
    manager
        .get(&path)
        .await
        .assert_problem(404, "not-found", None);

    let report: Value = import(&manager, &import_id, file.clone()).await.json();
    assert_eq!(counts(&report), [1, 0, 0, 1], "{report}");
    assert_eq!(report["rows"][0]["line"], 2);
    assert_eq!(report["rows"][1]["line"], 3);
    assert_eq!(report["rows"][1]["errors"][0]["field"], "title.en");
    let created: Value = manager.get(&path).await.with_status(200).json();
    assert_eq!(created["title"]["en"], "Cloud tea");
    let refused = format!("/v1/products/{bad}/document");
    manager
        .get(&refused)
        .await
        .assert_problem(404, "not-found", None);

    // A part that is repeated after a lost response finds its rows imported.
    let again: Value = import(&manager, &import_id, file).await.json();
    assert_eq!(counts(&again), [0, 0, 1, 1]);
    let file = format!("{HEADER}\n{}\n", row(&good, "Mist tea"));
    let changed: Value = import(&manager, &new_import(), file).await.json();
    assert_eq!(counts(&changed), [0, 1, 0, 0]);

    let audit = database.audit_of(&good).await;
    assert_eq!(audit.len(), 2, "{audit:?}");
    for row in &audit {
        assert_eq!(row["action"], "product.put");
        assert_eq!(row["actor"], manager.claims()["email"]);
    }
    assert_eq!(audit[1]["before"], created);
    assert_eq!(audit[1]["after"]["title"]["en"], "Mist tea");
    delete(&manager, &good).await;
}

#[tokio::test]
async fn a_repeated_product_in_a_file_is_refused() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    let (sku, import_id) = (new_sku(), new_import());
    let (first, second) = (row(&sku, "Cloud tea"), row(&sku, "Mist tea"));

    let file = format!("{HEADER}\n{first}\n{second}\n");
    let report: Value = import(&manager, &import_id, file).await.json();
    assert_eq!(counts(&report), [1, 0, 0, 1], "{report}");
    let part = format!("{HEADER}\n{second}\n");
    let report = import(&manager, &format!("{import_id}&first_line=502"), part).await;
    let report: Value = report.with_status(200).json();
    assert_eq!(counts(&report), [0, 0, 0, 1], "{report}");
    let error = &report["rows"][0]["errors"][0];
    assert_eq!(error["field"], "sku");
    assert!(
        error["detail"].as_str().unwrap().contains("line 2"),
        "{error}"
    );
    delete(&manager, &sku).await;
}

#[tokio::test]
async fn a_row_of_an_outdated_file_does_not_overwrite_a_later_change() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    let sku = new_sku();
    let file = format!("{HEADER}\n{}\n", row(&sku, "Cloud tea"));
    import(&manager, &new_import(), file).await.with_status(200);
    let read = manager.get(&format!("/v1/products/{sku}/document")).await;
    let version = read.header("etag").trim_matches('"').to_owned();

    for (title, expected) in [("Mist tea", [0, 1, 0, 0]), ("Fog tea", [0, 0, 0, 1])] {
        let file = format!("{HEADER},version\n{},{version}\n", row(&sku, title));
        let report: Value = import(&manager, &new_import(), file).await.json();
        assert_eq!(counts(&report), expected, "{report}");
    }
    let now: Value = manager
        .get(&format!("/v1/products/{sku}/document"))
        .await
        .json();
    assert_eq!(now["title"]["en"], "Mist tea");
    delete(&manager, &sku).await;
}

#[tokio::test]
async fn formulas_are_exported_as_text_and_imported_again() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    let sku = new_sku();
    let title = "=HYPERLINK(1)";
    let file = format!("{HEADER}\n{}\n", row(&sku, &format!("'{title}")));
    import(&manager, &new_import(), file).await.with_status(200);
    let created: Value = manager
        .get(&format!("/v1/products/{sku}/document"))
        .await
        .json();
    assert_eq!(created["title"]["en"], title);

    let mut next = Some("/v1/products/export?category=tea".to_owned());
    let mut line = None;
    while let (Some(path), None) = (&next, &line) {
        let (page, more) = export(&manager, path).await;
        line = page
            .lines()
            .find(|line| line.starts_with(&sku))
            .map(str::to_owned);
        next = more;
    }
    assert!(line.unwrap().contains(",'=HYPERLINK(1),"));
    delete(&manager, &sku).await;
}

#[tokio::test]
async fn an_invalid_file_is_refused_as_a_whole() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    let good = row(&new_sku(), "Cloud tea");
    let many: Vec<String> = (0..501).map(|_| row(&new_sku(), "Tea")).collect();
    for (file, field) in [
        (String::new(), "header"),
        (good.clone(), "header"),
        (format!("{HEADER},colour\n{good},red\n"), "header"),
        (HEADER.to_owned(), "body"),
        (format!("{HEADER}\n{}\n", many.join("\n")), "body"),
        // API Gateway forwards a body as text, so bytes that are not UTF-8 may arrive like this.
        (
            format!("{HEADER}\n{}\n", row(&new_sku(), "T\u{FFFD}")),
            "body",
        ),
    ] {
        let response = import(&manager, &new_import(), file).await;
        response.assert_problem(400, "invalid-csv", Some(field));
    }
    let late = format!("{}&first_line=100000", new_import());
    let response = import(&manager, &late, format!("{HEADER}\n{good}\n")).await;
    response.assert_problem(400, "invalid-csv", Some("body"));
    for (query, field) in [
        ("dry_run=true".to_owned(), "import"),
        (format!("{}&first_line=1", new_import()), "first_line"),
        (format!("{}&colour=red", new_import()), "colour"),
    ] {
        let response = import(&manager, &query, format!("{HEADER}\n{good}\n")).await;
        response.assert_problem(422, "validation", Some(field));
    }
    let request = manager.request(Method::POST, "/v1/products/import?import=x");
    let response = Response::of(request.json(&json!({}))).await;
    response.assert_problem(415, "unsupported-media-type", Some("Content-Type"));
    let huge = format!("{HEADER}\n{}", "x".repeat(3 * 1024 * 1024));
    let response = import(&manager, &new_import(), huge).await;
    response.assert_problem(413, "payload-too-large", Some("body"));
}

#[tokio::test]
async fn unknown_or_invalid_parameters_of_an_export_are_refused() {
    let stack = Stack::find();
    let manager = stack.staff("catalogue-manager").await;
    for (query, status, kind, field) in [
        ("category=nowhere", 422, "validation", "category"),
        ("category=T%C3%A9", 422, "validation", "category"),
        ("colour=red", 422, "validation", "colour"),
        ("cursor=nonsense", 400, "invalid-cursor", "cursor"),
    ] {
        let response = manager.get(&format!("/v1/products/export?{query}")).await;
        response.assert_problem(status, kind, Some(field));
    }
    let (tea, _) = export(&manager, "/v1/products/export?category=tea").await;
    let header = tea.lines().next().unwrap();
    assert!(header.contains("attributes.origin"), "{header}");
    assert!(!header.contains("attributes.pages"), "{header}");
    assert!(tea.lines().skip(1).all(|line| line.contains(",tea,")));
}

//! What is for sale, and how it is found.

use std::collections::HashSet;

use serde_json::Value;
use tests::{Database, Person, Stack, eventually};

/// All products that a search finds, page by page.
async fn finds(anyone: &Person, search: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/products?limit=100&{search}{cursor}");
        let mut page: Value = anyone.get(&path).await.with_status(200).json();
        if let Some(items) = page["items"].as_array_mut() {
            found.append(items);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

fn skus(products: &[Value]) -> HashSet<&str> {
    products
        .iter()
        .filter_map(|it| it["sku"].as_str())
        .collect()
}

/// What the title says to somebody who speaks `languages`.
async fn title(stack: &Stack, languages: Option<&str>) -> String {
    let anyone = stack.anonymous();
    let mut request = anyone.request(reqwest::Method::GET, "/v1/products/TEA-0001");
    if let Some(languages) = languages {
        request = request.header("Accept-Language", languages);
    }
    let product: Value = tests::Answer::of(request).await.with_status(200).json();
    product["title"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_pages_of_the_shop_hold_each_product_once() {
    let stack = Stack::find();
    let products = finds(&stack.anonymous(), "").await;
    assert_eq!(products.len(), skus(&products).len());
    assert!(products.len() > 1_000, "{}", products.len());
}

#[tokio::test]
async fn the_categories_share_out_the_shop() {
    let stack = Stack::find();
    let anyone = stack.anonymous();
    let page: Value = anyone
        .get("/v1/products?limit=1")
        .await
        .with_status(200)
        .json();
    let mut together = 0;
    for category in page["categories"].as_array().unwrap() {
        let id = category["id"].as_str().unwrap();
        let products = finds(&anyone, &format!("category={id}")).await;
        assert!(
            products.iter().all(|product| product["category"] == id),
            "{id}"
        );
        together += products.len();
    }
    assert_eq!(together, finds(&anyone, "").await.len());
}

#[tokio::test]
async fn products_are_read_by_their_skus_at_once() {
    let stack = Stack::find();
    let anyone = stack.anonymous();
    let asked = "/v1/products?sku=TEA-0002&sku=NONE-1&sku=COFFEE-0001&sku=TEA-0002";
    let page: Value = anyone.get(asked).await.with_status(200).json();
    let found = page["items"].as_array().unwrap();
    let skus: Vec<_> = found.iter().map(|it| it["sku"].as_str()).collect();
    assert_eq!(skus, [Some("TEA-0002"), Some("COFFEE-0001")]);
    let alone = anyone.get("/v1/products/TEA-0002").await;
    let alone: Value = alone.with_status(200).json();
    assert_eq!(found[0], alone);

    let many = |count| format!("/v1/products?{}", vec!["sku=TEA-0001"; count].join("&"));
    anyone.get(&many(100)).await.with_status(200);
    let answer = anyone.get(&many(101)).await;
    answer.assert_problem(422, "validation", Some("sku"));
}

#[tokio::test]
async fn attributes_narrow_a_category() {
    let stack = Stack::find();
    let anyone = stack.anonymous();
    let teas = finds(&anyone, "category=tea").await;
    let wanted =
        |it: &&Value| it["attributes"]["origin"] == "Japan" && it["attributes"]["organic"] == true;
    let expected: Vec<Value> = teas.iter().filter(wanted).cloned().collect();
    assert!(!expected.is_empty() && expected.len() < teas.len());

    let found = finds(&anyone, "category=tea&attr.origin=Japan&attr.organic=true").await;
    assert_eq!(skus(&found), skus(&expected));
    assert!(
        finds(&anyone, "category=tea&attr.origin=Atlantis")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn words_are_found_in_both_languages_with_and_without_accents() {
    let stack = Stack::find();
    let anyone = stack.anonymous();
    let english = finds(&anyone, "category=tea&q=green%20tea").await;
    assert!(!english.is_empty());
    assert!(
        english.iter().all(|it| it["attributes"]["type"] == "Green"),
        "{english:?}"
    );

    let with_accents = finds(&anyone, "category=tea&q=t%C3%A9%20verde").await;
    let without = finds(&anyone, "category=tea&q=TE%20verd").await;
    assert_eq!(skus(&with_accents), skus(&english));
    assert_eq!(skus(&without), skus(&english));
    assert!(finds(&anyone, "q=xyzzy").await.is_empty());
}

#[tokio::test]
async fn the_stock_that_is_shown_is_the_stock_that_there_is() {
    let stack = Stack::find();
    let (anyone, database) = (stack.anonymous(), stack.database().await);
    database.restock("OLIVE-OIL-0140", 0).await;
    database.restock("OLIVE-OIL-0139", 1234).await;

    eventually("the same", async || {
        for product in finds(&anyone, "category=olive-oil").await {
            let sku = product["sku"].as_str().unwrap();
            if product["stock"] != database.stock_of(sku).await {
                return Err(product.to_string());
            }
        }
        Ok(())
    })
    .await;
    shows(&anyone, &database, "OLIVE-OIL-0140").await;
    shows(&anyone, &database, "OLIVE-OIL-0139").await;
}

async fn shows(anyone: &Person, database: &Database, sku: &str) {
    let product: Value = anyone
        .get(&format!("/v1/products/{sku}"))
        .await
        .with_status(200)
        .json();
    assert_eq!(product["stock"], database.stock_of(sku).await, "{sku}");
}

#[tokio::test]
async fn the_shop_speaks_the_first_language_that_it_knows() {
    let stack = Stack::find();
    let (english, spanish) = (
        title(&stack, Some("en")).await,
        title(&stack, Some("es-ES")).await,
    );
    assert!(
        english.contains("green tea") && spanish.contains("té verde"),
        "{english} {spanish}"
    );
    assert_eq!(title(&stack, None).await, english);
    assert_eq!(title(&stack, Some("fr, es;q=0.5, en;q=0.1")).await, spanish);
    assert_eq!(title(&stack, Some("fr")).await, english);
}

#[tokio::test]
async fn an_unknown_product_is_a_problem() {
    let stack = Stack::find();
    let anyone = stack.anonymous();
    for sku in ["TEA-9999", "tea-0001"] {
        anyone
            .get(&format!("/v1/products/{sku}"))
            .await
            .assert_problem(404, "not-found", None);
    }
}

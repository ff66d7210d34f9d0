//! Products in the shop, and searches for them.

use std::collections::HashSet;

use serde_json::Value;
use tests::{Database, Person, Stack, eventually};

/// All products that a search search, over all pages.
async fn search(visitor: &Person, search: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/products?limit=100&{search}{cursor}");
        let mut page: Value = visitor.get(&path).await.with_status(200).json();
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

/// The title of a product for a caller with these `Accept-Language` preferences.
async fn title(stack: &Stack, languages: Option<&str>) -> String {
    let visitor = stack.anonymous();
    let mut request = visitor.request(reqwest::Method::GET, "/v1/products/TEA-0001");
    if let Some(languages) = languages {
        request = request.header("Accept-Language", languages);
    }
    let product: Value = tests::Response::of(request).await.with_status(200).json();
    product["title"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_pages_of_the_shop_contain_each_product_once() {
    let stack = Stack::find();
    let products = search(&stack.anonymous(), "").await;
    assert_eq!(products.len(), skus(&products).len());
    assert!(products.len() > 1_000, "{}", products.len());
}

#[tokio::test]
async fn each_product_is_in_exactly_one_category() {
    let stack = Stack::find();
    let visitor = stack.anonymous();
    let page: Value = visitor
        .get("/v1/products?limit=1")
        .await
        .with_status(200)
        .json();
    let mut total = 0;
    for category in page["categories"].as_array().unwrap() {
        let id = category["id"].as_str().unwrap();
        let products = search(&visitor, &format!("category={id}")).await;
        assert!(
            products.iter().all(|product| product["category"] == id),
            "{id}"
        );
        total += products.len();
    }
    assert_eq!(total, search(&visitor, "").await.len());
}

#[tokio::test]
async fn products_are_read_by_their_skus_at_once() {
    let stack = Stack::find();
    let visitor = stack.anonymous();
    let path = "/v1/products?sku=TEA-0002&sku=NONE-1&sku=COFFEE-0001&sku=TEA-0002";
    let page: Value = visitor.get(path).await.with_status(200).json();
    let found = page["items"].as_array().unwrap();
    let skus: Vec<_> = found.iter().map(|it| it["sku"].as_str()).collect();
    assert_eq!(skus, [Some("TEA-0002"), Some("COFFEE-0001")]);
    let single = visitor.get("/v1/products/TEA-0002").await;
    let single: Value = single.with_status(200).json();
    assert_eq!(found[0], single);

    let many = |count| format!("/v1/products?{}", vec!["sku=TEA-0001"; count].join("&"));
    visitor.get(&many(100)).await.with_status(200);
    let response = visitor.get(&many(101)).await;
    response.assert_problem(422, "validation", Some("sku"));
}

#[tokio::test]
async fn attributes_narrow_a_category() {
    let stack = Stack::find();
    let visitor = stack.anonymous();
    let teas = search(&visitor, "category=tea").await;
    let matches =
        |it: &&Value| it["attributes"]["origin"] == "Japan" && it["attributes"]["organic"] == true;
    let expected: Vec<Value> = teas.iter().filter(matches).cloned().collect();
    assert!(!expected.is_empty() && expected.len() < teas.len());

    let found = search(&visitor, "category=tea&attr.origin=Japan&attr.organic=true").await;
    assert_eq!(skus(&found), skus(&expected));
    assert!(
        search(&visitor, "category=tea&attr.origin=Atlantis")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn searches_work_in_both_languages_with_and_without_accents() {
    let stack = Stack::find();
    let visitor = stack.anonymous();
    let english = search(&visitor, "category=tea&q=green%20tea").await;
    assert!(!english.is_empty());
    assert!(
        english.iter().all(|it| it["attributes"]["type"] == "Green"),
        "{english:?}"
    );

    let with_accents = search(&visitor, "category=tea&q=t%C3%A9%20verde").await;
    let without = search(&visitor, "category=tea&q=TE%20verd").await;
    assert_eq!(skus(&with_accents), skus(&english));
    assert_eq!(skus(&without), skus(&english));
    assert!(search(&visitor, "q=xyzzy").await.is_empty());
}

#[tokio::test]
async fn products_show_their_current_stock() {
    let stack = Stack::find();
    let (visitor, database) = (stack.anonymous(), stack.database().await);
    database.restock("OLIVE-OIL-0140", 0).await;
    database.restock("OLIVE-OIL-0139", 1234).await;

    eventually("the same stock", async || {
        for product in search(&visitor, "category=olive-oil").await {
            let sku = product["sku"].as_str().unwrap();
            if product["stock"] != database.stock_of(sku).await {
                return Err(product.to_string());
            }
        }
        Ok(())
    })
    .await;
    assert_stock_shown(&visitor, &database, "OLIVE-OIL-0140").await;
    assert_stock_shown(&visitor, &database, "OLIVE-OIL-0139").await;
}

async fn assert_stock_shown(visitor: &Person, database: &Database, sku: &str) {
    let product: Value = visitor
        .get(&format!("/v1/products/{sku}"))
        .await
        .with_status(200)
        .json();
    assert_eq!(product["stock"], database.stock_of(sku).await, "{sku}");
}

#[tokio::test]
async fn titles_are_in_the_first_supported_language() {
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
async fn an_unknown_product_is_not_found() {
    let stack = Stack::find();
    let visitor = stack.anonymous();
    for sku in ["TEA-9999", "tea-0001"] {
        visitor
            .get(&format!("/v1/products/{sku}"))
            .await
            .assert_problem(404, "not-found", None);
    }
}

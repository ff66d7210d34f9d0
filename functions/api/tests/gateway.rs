//! Checks that the routes in infra/routes.yaml are those that the code generates.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use api::{Access, GatewayRoute, Throttle};

/// The line of infra/routes.yaml below which everything is generated.
const GENERATED_BELOW: &str = "        # UPDATE_ROUTES=1 cargo test --workspace --test gateway\n";

#[test]
fn the_routes_of_api_gateway_are_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/routes.yaml");
    let current = fs::read_to_string(&path).unwrap();
    let (handwritten, _) = current.split_once(GENERATED_BELOW).unwrap();
    let expected = [handwritten, GENERATED_BELOW, &generate().unwrap()].concat();
    if std::env::var_os("UPDATE_ROUTES").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == expected,
        "run UPDATE_ROUTES=1 cargo test --workspace --test gateway, and review the changes"
    );
}

/// The stage's settings for each route, and the routes.
fn generate() -> Result<String, std::fmt::Error> {
    let mut routes: Vec<GatewayRoute> = api::gateway_routes().collect();
    routes.sort_by_cached_key(|route| {
        let path_first = route.key.split(' ').rev().map(str::to_owned);
        (route.throttle, path_first.collect::<Vec<_>>())
    });
    let mut yaml = String::new();
    let mut anchored = BTreeSet::new();
    for GatewayRoute { key, throttle, .. } in &routes {
        if anchored.insert(*throttle) {
            write!(
                yaml,
                "        {key}: &{throttle}Route\n{}",
                route_settings(*throttle)
            )?;
        } else {
            writeln!(yaml, "        {key}: *{throttle}Route")?;
        }
    }
    yaml += "    # A stage can only bound routes that exist.\n    DependsOn:\n";
    for route in &routes {
        writeln!(yaml, "      - {}", logical_id(route))?;
    }
    for route in &routes {
        write!(
            yaml,
            "
  {}:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Api
      RouteKey: {}
      Target: !Sub integrations/${{Integration}}
",
            logical_id(route),
            route.key
        )?;
        if matches!(route.access, Access::Token(_)) {
            yaml += "      AuthorizationType: JWT\n      AuthorizerId: !Ref Authorizer\n";
        }
    }
    Ok(yaml)
}

fn route_settings(throttle: Throttle) -> String {
    format!(
        "          DetailedMetricsEnabled: true
          ThrottlingBurstLimit: !FindInMap [{throttle}Routes, !Ref Size, Burst]
          ThrottlingRateLimit: !FindInMap [{throttle}Routes, !Ref Size, Rate]
"
    )
}

/// Such as `PostV1OrdersIdCancelRoute` for `POST /v1/orders/{id}/cancel`.
fn logical_id(route: &GatewayRoute) -> String {
    let lower = route.key.to_lowercase();
    let words = lower.split(|it: char| !it.is_ascii_alphanumeric());
    let capitalized = words.filter(|word| !word.is_empty()).map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    capitalized.chain(["Route".to_owned()]).collect()
}

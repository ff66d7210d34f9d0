//! The routes of API Gateway that are checked in are those that the code makes.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use api::{Access, GatewayRoute, Throttle};

/// Ends what people write in infra/routes.yaml.
const GENERATED_BELOW: &str = "        # UPDATE_ROUTES=1 cargo test --workspace --test gateway\n";

#[test]
fn the_routes_of_api_gateway_are_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/routes.yaml");
    let kept = fs::read_to_string(&path).unwrap();
    let (written, _) = kept.split_once(GENERATED_BELOW).unwrap();
    let made = [written, GENERATED_BELOW, &generated().unwrap()].concat();
    if std::env::var_os("UPDATE_ROUTES").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == made,
        "run UPDATE_ROUTES=1 cargo test --workspace --test gateway, and look at what changed"
    );
}

/// The rest of the stage, and the routes.
fn generated() -> Result<String, std::fmt::Error> {
    let mut routes: Vec<GatewayRoute> = api::gateway_routes().collect();
    routes.sort_by_cached_key(|route| {
        let path_first = route.key.split(' ').rev().map(str::to_owned);
        (route.throttle, path_first.collect::<Vec<_>>())
    });
    let mut yaml = String::new();
    let mut named = BTreeSet::new();
    for GatewayRoute { key, throttle, .. } in &routes {
        if named.insert(*throttle) {
            write!(
                yaml,
                "        {key}: &{throttle}Route\n{}",
                bounds(*throttle)
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

fn bounds(throttle: Throttle) -> String {
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

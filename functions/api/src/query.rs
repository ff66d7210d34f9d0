//! Deserializes the query of a request into the struct that describes it in the OpenAPI document.
//!
//! It is a serde format of its own, so that each error names its parameter. `serde_urlencoded` has
//! no lists, and `serde_qs` takes the last of repeated values. With either, parameters such as
//! `attr.size` need serde's `flatten`, which loses the name of the invalid one.

use std::{fmt::Display, mem};

use axum::{extract::FromRequestParts, http::request::Parts};
use indexmap::{IndexMap, map};
use serde::{
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess,
        Visitor,
        value::{SeqDeserializer, StringDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::problem::{Problem, ProblemType};

/// Marks a field that is a map of all parameters with the same prefix, such as `attr.<name>`.
const ANY_NAME: &str = "<name>";

/// The longest name of such a parameter, in bytes.
const MAX_NAME: usize = 100;

/// The query as a struct. Unknown parameters are refused, and so are repeated ones, except for
/// lists.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        Parameters::of(query).parse().map(Self)
    }
}

/// The values of each parameter, in the order of the query, so that an error names the first
/// invalid parameter.
pub(crate) struct Parameters(IndexMap<String, Vec<String>>);

impl Parameters {
    pub(crate) fn of(query: &str) -> Self {
        let mut parameters = IndexMap::<_, Vec<_>>::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            parameters.entry(name).or_default().push(value);
        }
        Self(parameters)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn parse<T: DeserializeOwned>(self) -> Result<T, Problem> {
        T::deserialize(self)
    }
}

impl<'de> Deserializer<'de> for Parameters {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_struct("", &[], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let open = |field: &&'static str| Some((*field, field.strip_suffix(ANY_NAME)?));
        let open = fields.iter().find_map(open);
        let (mut values, mut group) = (IndexMap::new(), IndexMap::new());
        for (name, texts) in self.0 {
            let rest = open.and_then(|(_, prefix)| name.strip_prefix(prefix));
            match rest.filter(|rest| !rest.is_empty() && name.len() <= MAX_NAME) {
                Some(rest) => group.insert(rest.to_owned(), Value::Texts(texts)),
                None => values.insert(name, Value::Texts(texts)),
            };
        }
        if let Some((field, prefix)) = open {
            values.insert(field.to_owned(), Value::Group(prefix, group));
        }
        visitor.visit_map(Entries::of("", values))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The value of a field.
enum Value {
    /// The values of one parameter.
    Texts(Vec<String>),
    /// A prefix, and the parameters with that prefix by the rest of their names.
    Group(&'static str, IndexMap<String, Value>),
}

impl Default for Value {
    fn default() -> Self {
        Self::Texts(Vec::new())
    }
}

impl Value {
    /// The value of a parameter that must not be repeated.
    fn text(self) -> Result<String, Problem> {
        match self {
            Self::Texts(texts) => <[String; 1]>::try_from(texts).map(|[text]| text).ok(),
            Self::Group(..) => None,
        }
        .ok_or_else(|| Problem::custom("must be given once"))
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Self::Group(prefix, values) => visitor.visit_map(Entries::of(prefix, values)),
            texts @ Self::Texts(_) => visitor.visit_string(texts.text()?),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Self::Texts(texts) => visitor.visit_seq(SeqDeserializer::new(texts.into_iter())),
            group @ Self::Group(..) => group.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let text: StringDeserializer<Problem> = self.text()?.into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let number = self.text()?.parse();
        visitor.visit_i64(number.map_err(|_| Problem::custom("must be a whole number"))?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let truth = self.text()?.parse();
        visitor.visit_bool(truth.map_err(|_| Problem::custom("must be true or false"))?)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// Passes parameters to serde, and adds the parameter's name to an error.
struct Entries {
    /// The prefix that is cut from the names.
    prefix: &'static str,
    rest: map::IntoIter<String, Value>,
    /// The entry of which serde has the key, but not yet the value.
    current: (String, Value),
}

impl Entries {
    fn of(prefix: &'static str, values: IndexMap<String, Value>) -> Self {
        Self {
            prefix,
            rest: values.into_iter(),
            current: Default::default(),
        }
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Problem> {
        let Some(next) = self.rest.next() else {
            return Ok(None);
        };
        self.current = next;
        let (key, _) = &self.current;
        seed.deserialize(key.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let (key, value) = mem::take(&mut self.current);
        let named = |problem: Problem| problem.or_at(format!("{}{key}", self.prefix));
        seed.deserialize(value).map_err(named)
    }
}

/// Lets serde report invalid parameters as problems.
impl Error for Problem {
    fn custom<T: Display>(rule: T) -> Self {
        Self::new(ProblemType::Validation, rule.to_string())
    }

    fn unknown_field(name: &str, expected: &'static [&'static str]) -> Self {
        let rule = format!("is unknown; the parameters are {}", expected.join(", "));
        Self::new(ProblemType::Validation, rule).at(name)
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("must be {}", expected.join(" or ")))
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(ProblemType::Validation, "must be given").at(name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Trip {
        nights: i64,
        #[serde(default)]
        stops: Vec<String>,
        by: Option<Vehicle>,
        #[serde(rename = "meal.<name>")]
        meals: BTreeMap<String, bool>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Vehicle {
        Train,
        Boat,
    }

    #[test]
    fn a_query_is_parsed_into_a_struct() {
        let parsed: Trip = Parameters::of(
            "stops=Le%C3%B3n&nights=3&meal.late.tea=true&by=boat&stops=&&meal.lunch=false",
        )
        .parse()
        .unwrap();
        let expected = Trip {
            nights: 3,
            stops: vec!["Le\u{f3}n".to_owned(), String::new()],
            by: Some(Vehicle::Boat),
            meals: [("late.tea".to_owned(), true), ("lunch".to_owned(), false)].into(),
        };
        assert_eq!(parsed, expected);
    }

    #[test]
    fn an_error_names_the_parameter() {
        let long = format!("nights=1&meal.{}=true", "x".repeat(MAX_NAME));
        for (query, field, rule) in [
            ("", "nights", "must be given"),
            ("nights=two", "nights", "must be a whole number"),
            ("nights=1&by=&colour=red", "by", "must be train or boat"),
            ("nights=1&nights=1", "nights", "must be given once"),
            ("nights=1&meal.tea=&by=", "by", "must be train or boat"),
            ("nights=1&meal.tea=", "meal.tea", "must be true or false"),
            (
                "meal.a=true&meal.a=true&nights=1",
                "meal.a",
                "must be given once",
            ),
            (
                "colour=red&nights=two",
                "colour",
                "is unknown; the parameters are nights, stops, by, meal.<name>",
            ),
            (
                "nights=1&meal.=true",
                "meal.",
                "is unknown; the parameters are nights, stops, by, meal.<name>",
            ),
            (
                &long,
                &long[9..9 + 5 + MAX_NAME],
                "is unknown; the parameters are nights, stops, by, meal.<name>",
            ),
        ] {
            let parsed = Parameters::of(query).parse::<Trip>();
            let problem = parsed.unwrap_err().summary();
            assert_eq!(
                (&problem["field"], &problem["detail"]),
                (&field.into(), &rule.into()),
                "{query}"
            );
        }
    }
}

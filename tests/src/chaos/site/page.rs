//! A page of the shop, and what a person reads on it.

use orders::OrderNumber;

use crate::Answer;

/// What a page says when it refuses the order itself, and what that is called.
const REFUSALS: [(&str, &str); 2] = [
    ("There is not enough left of", "out of stock"),
    ("The cart cannot be ordered as it is", "cannot be ordered"),
];

/// What the checkout says of a form with another key than the browser's.
const OUTDATED: &str = "This page was out of date";

/// A page that was answered.
pub(super) struct Page {
    /// Path and query.
    pub(super) path: String,
    status: u16,
    text: String,
}

/// A form on a page.
#[derive(Debug, Clone)]
pub(super) struct Form {
    /// Where it is sent.
    pub(super) action: String,
    /// The names and values of its hidden fields.
    pub(super) hidden: Vec<(String, String)>,
    /// What stands between its tags.
    text: String,
}

/// What a page is to somebody who orders.
pub(super) enum Sight {
    /// Their order.
    Order(OrderNumber),
    /// The checkout's form.
    Checkout(Form),
    /// The same, for the form that was sent was out of date and placed nothing.
    Outdated(Form),
    /// The form that signs in.
    SignIn(Form),
    /// A cart that can be ordered.
    Cart,
    /// A cart with nothing in it.
    EmptyCart,
    /// What is wanted cannot be ordered, and why.
    Refused(&'static str),
    /// Anything else: an error, a limit, another page.
    Failure,
}

impl Page {
    pub(super) fn of(path: &str, answer: &Answer) -> Self {
        Self {
            path: path.to_owned(),
            status: answer.status,
            text: answer.body.clone(),
        }
    }

    pub(super) const fn is_found(&self) -> bool {
        self.status == 200
    }

    /// What a person says of a page that does not help: its status.
    pub(super) fn complaint(&self) -> String {
        format!("site: {}", self.status)
    }

    pub(super) fn sight(&self) -> Sight {
        let name = self.path.split('?').next().unwrap_or_default();
        match name {
            "/guest-order" => self.order(),
            "/checkout" => self.checkout(),
            "/sign-in" => self
                .form_with("password")
                .map_or(Sight::Failure, Sight::SignIn),
            "/cart" if self.is_found() => self.cart(),
            _ if name.starts_with("/orders/") => self.order(),
            _ => Sight::Failure,
        }
    }

    fn order(&self) -> Sight {
        let number = between(&self.text, "<h1>Order ", "</h1>");
        let number = number.and_then(|number| number.parse().ok());
        let number = number.filter(|_| self.is_found());
        number.map_or(Sight::Failure, Sight::Order)
    }

    fn checkout(&self) -> Sight {
        let refusal = REFUSALS.iter().find(|(text, _)| self.text.contains(text));
        if let Some((_, name)) = refusal {
            return Sight::Refused(name);
        }
        match self.form_with("card") {
            Some(form) if self.text.contains(OUTDATED) => Sight::Outdated(form),
            Some(form) => Sight::Checkout(form),
            None => Sight::Failure,
        }
    }

    fn cart(&self) -> Sight {
        if self.text.contains(r#"href="/checkout""#) {
            Sight::Cart
        } else if self.form_with("sku").is_some() {
            Sight::Refused("cart cannot be ordered")
        } else {
            Sight::EmptyCart
        }
    }

    /// The form that has a field of that name.
    pub(super) fn form_with(&self, field: &str) -> Option<Form> {
        let named = format!(r#"name="{field}""#);
        let forms = self.text.split("<form").skip(1);
        let mut forms = forms.map(|text| Form::read(text, &self.path));
        forms.find(|form| form.text.contains(&named))
    }
}

impl Form {
    /// Reads the form whose tag the text begins in, on the page of that path.
    fn read(text: &str, path: &str) -> Self {
        let (tag, rest) = text.split_once('>').unwrap_or_default();
        let content = rest.split("</form>").next().unwrap_or_default();
        let inputs = content.split("<input").skip(1);
        let inputs = inputs.filter_map(|input| input.split('>').next());
        let hidden = inputs.filter(|input| input.contains(r#"type="hidden""#));
        let field = |input| Some((attribute(input, "name")?, attribute(input, "value")?));
        Self {
            action: attribute(tag, "action").unwrap_or_else(|| path.to_owned()),
            hidden: hidden.filter_map(field).collect(),
            text: content.to_owned(),
        }
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    between(tag, &format!(r#" {name}=""#), "\"").map(str::to_owned)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, status: u16, text: &str) -> Page {
        Page {
            path: path.to_owned(),
            status,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_form_is_sent_with_its_own_hidden_fields() {
        let text = r#"<form method="POST" action="/sign-out"><input type="hidden" name="a" value="b"/></form>
            <form action="/checkout/attempt?guest" method="POST"><input type="hidden" name="key" value="k">
            <input type="hidden" name="whose" value=""/><input type="radio" name="card" value="visa"/></form>"#;
        let Sight::Checkout(form) = page("/checkout?guest", 200, text).sight() else {
            panic!("the checkout should be seen");
        };
        assert_eq!(form.action, "/checkout/attempt?guest");
        let fields = [("key", "k"), ("whose", "")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(form.hidden, fields);
    }

    #[test]
    fn an_order_is_seen_on_its_page_alone() {
        let text = "<h1>Order C7K3-F9Q2-MX</h1>";
        let sees = |path, status| match page(path, status, text).sight() {
            Sight::Order(number) => number.as_str() == "C7K3-F9Q2-MX",
            _ => false,
        };
        assert!(sees("/guest-order?placed", 200));
        assert!(sees("/orders/0190?already", 200));
        assert!(!sees("/guest-order?placed", 503));
        assert!(!sees("/cart", 200));
    }

    #[test]
    fn a_refusal_is_told_from_a_form_that_may_be_sent_again() {
        let form = r#"<form><input type="radio" name="card" value="visa"/></form>"#;
        let sold_out = format!("There is not enough left of Tea. {form}");
        assert!(matches!(
            page("/checkout", 409, &sold_out).sight(),
            Sight::Refused("out of stock")
        ));
        let outdated = format!("{OUTDATED}, so nothing was ordered {form}");
        let seen = page("/checkout", 409, &outdated).sight();
        assert!(matches!(seen, Sight::Outdated(_)));
        assert!(matches!(
            page("/checkout", 503, form).sight(),
            Sight::Checkout(_)
        ));
        assert!(matches!(page("/checkout", 500, "").sight(), Sight::Failure));
    }

    #[test]
    fn a_cart_can_be_ordered_or_not() {
        let line = r#"<form><input type="hidden" name="sku" value="TEA"/></form>"#;
        let sees = |text: &str| page("/cart", 200, text).sight();
        assert!(matches!(sees(r#"<a href="/checkout">"#), Sight::Cart));
        assert!(matches!(sees(line), Sight::Refused(_)));
        assert!(matches!(sees(""), Sight::EmptyCart));
    }
}

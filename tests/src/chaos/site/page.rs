//! A page of the storefront, and what a person reads on it.

use orders::OrderNumber;

use crate::Response;

/// The texts with which a page refuses an order, and a name for each.
const REFUSALS: [(&str, &str); 2] = [
    ("There is not enough left of", "out of stock"),
    ("The cart cannot be ordered as it is", "cannot be ordered"),
];

/// The text of the checkout about a form with another key than the browser's.
const OUTDATED: &str = "This page was out of date";

/// A page that was received.
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
    /// The text between its tags.
    text: String,
}

/// The kind of a page, for a person who orders.
pub(super) enum PageKind {
    /// The order.
    Order(OrderNumber),
    /// The checkout's form.
    Checkout(Form),
    /// The checkout's form, after an outdated form that placed no order.
    Outdated(Form),
    /// The sign-in form.
    SignIn(Form),
    /// A cart that can be ordered.
    Cart,
    /// A cart with nothing in it.
    EmptyCart,
    /// A refusal, with its reason.
    Refused(&'static str),
    /// Anything else: an error, a limit, another page.
    Failure,
}

impl Page {
    pub(super) fn of(path: &str, response: &Response) -> Self {
        Self {
            path: path.to_owned(),
            status: response.status,
            text: response.body.clone(),
        }
    }

    pub(super) const fn is_found(&self) -> bool {
        self.status == 200
    }

    /// A description of a page that does not help: its status.
    pub(super) fn complaint(&self) -> String {
        format!("site: {}", self.status)
    }

    pub(super) fn kind(&self) -> PageKind {
        let name = self.path.split('?').next().unwrap_or_default();
        match name {
            "/guest-order" => self.order(),
            "/checkout" => self.checkout(),
            "/sign-in" => self
                .form_with("password")
                .map_or(PageKind::Failure, PageKind::SignIn),
            "/cart" if self.is_found() => self.cart(),
            _ if name.starts_with("/orders/") => self.order(),
            _ => PageKind::Failure,
        }
    }

    fn order(&self) -> PageKind {
        let number = between(&self.text, "<h1>Order ", "</h1>");
        let number = number.and_then(|number| number.parse().ok());
        let number = number.filter(|_| self.is_found());
        number.map_or(PageKind::Failure, PageKind::Order)
    }

    fn checkout(&self) -> PageKind {
        let refusal = REFUSALS.iter().find(|(text, _)| self.text.contains(text));
        if let Some((_, name)) = refusal {
            return PageKind::Refused(name);
        }
        match self.form_with("card") {
            Some(form) if self.text.contains(OUTDATED) => PageKind::Outdated(form),
            Some(form) => PageKind::Checkout(form),
            None => PageKind::Failure,
        }
    }

    fn cart(&self) -> PageKind {
        if self.text.contains(r#"href="/checkout""#) {
            PageKind::Cart
        } else if self.form_with("sku").is_some() {
            PageKind::Refused("cart cannot be ordered")
        } else {
            PageKind::EmptyCart
        }
    }

    /// The form that has a field of this name.
    pub(super) fn form_with(&self, field: &str) -> Option<Form> {
        let named = format!(r#"name="{field}""#);
        let forms = self.text.split("<form").skip(1);
        let mut forms = forms.map(|text| Form::read(text, &self.path));
        forms.find(|form| form.text.contains(&named))
    }
}

impl Form {
    /// Parses the form at the beginning of a text, from the page with this path.
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
        let PageKind::Checkout(form) = page("/checkout?guest", 200, text).kind() else {
            panic!("the checkout should be shown");
        };
        assert_eq!(form.action, "/checkout/attempt?guest");
        let fields = [("key", "k"), ("whose", "")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(form.hidden, fields);
    }

    #[test]
    fn only_an_orders_own_page_shows_it() {
        let text = "<h1>Order C7K3-F9Q2-MX</h1>";
        let shows = |path, status| match page(path, status, text).kind() {
            PageKind::Order(number) => number.as_str() == "C7K3-F9Q2-MX",
            _ => false,
        };
        assert!(shows("/guest-order?placed", 200));
        assert!(shows("/orders/0190?already", 200));
        assert!(!shows("/guest-order?placed", 503));
        assert!(!shows("/cart", 200));
    }

    #[test]
    fn a_refusal_differs_from_a_form_that_may_be_sent_again() {
        let form = r#"<form><input type="radio" name="card" value="visa"/></form>"#;
        let sold_out = format!("There is not enough left of Tea. {form}");
        assert!(matches!(
            page("/checkout", 409, &sold_out).kind(),
            PageKind::Refused("out of stock")
        ));
        let outdated = format!("{OUTDATED}, so nothing was ordered {form}");
        let seen = page("/checkout", 409, &outdated).kind();
        assert!(matches!(seen, PageKind::Outdated(_)));
        assert!(matches!(
            page("/checkout", 503, form).kind(),
            PageKind::Checkout(_)
        ));
        assert!(matches!(
            page("/checkout", 500, "").kind(),
            PageKind::Failure
        ));
    }

    #[test]
    fn a_cart_can_be_ordered_or_not() {
        let line = r#"<form><input type="hidden" name="sku" value="TEA"/></form>"#;
        let shows = |text: &str| page("/cart", 200, text).kind();
        assert!(matches!(shows(r#"<a href="/checkout">"#), PageKind::Cart));
        assert!(matches!(shows(line), PageKind::Refused(_)));
        assert!(matches!(shows(""), PageKind::EmptyCart));
    }
}

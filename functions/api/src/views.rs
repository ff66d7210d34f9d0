//! The response bodies of the catalogue and of orders.

use std::collections::BTreeMap;

use jiff::Timestamp;
use orders::{
    Address, Cents, Currency, Dispute, FulfilmentStatus, Line, Money, Movement, Order, OrderId,
    OrderNumber, OrderStatus, PaymentId, PaymentStatus, Refund, RefundId, RefundStatus, Sku,
    TimelineEntry, Wait,
    catalogue::{AttributeKind, AttributeValue, Category, CategoryId, Language, Product},
};
use serde::Serialize;
use store::RefundApproval;
use utoipa::ToSchema;

/// A product, with its texts in the language of `Accept-Language`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Product")]
pub(crate) struct ProductView {
    sku: Sku,
    title: String,
    description: String,
    category: CategoryId,
    price: Money,
    /// The values of the category's attributes, by their names.
    attributes: BTreeMap<String, AttributeValue>,
    /// The name of the picture that the shop draws for the product.
    image: String,
    /// The number of articles that can be ordered now.
    stock: i64,
}

impl ProductView {
    pub(crate) fn new(product: Product, stock: i64, language: Language) -> Self {
        Self {
            title: product.title.get(language).to_owned(),
            description: product.description.get(language).to_owned(),
            sku: product.sku,
            category: product.category,
            price: product.price,
            attributes: product.attributes,
            image: product.image,
            stock,
        }
    }
}

/// A category, with the attributes that its products can be filtered by.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Category")]
pub(crate) struct CategoryView {
    id: CategoryId,
    title: String,
    attributes: Vec<AttributeView>,
}

/// An attribute to filter by.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Attribute")]
pub(crate) struct AttributeView {
    /// The name in the parameter `attr.<name>`.
    name: String,
    title: String,
    kind: AttributeKind,
    /// The values to choose from, in the order to show them.
    values: Vec<String>,
}

impl CategoryView {
    pub(crate) fn new(category: Category, language: Language) -> Self {
        let attributes = category
            .attributes
            .into_iter()
            .map(|attribute| AttributeView {
                title: attribute.title.get(language).to_owned(),
                kind: attribute.kind(),
                name: attribute.name,
                values: attribute.values,
            });
        Self {
            id: category.id,
            title: category.title.get(language).to_owned(),
            attributes: attributes.collect(),
        }
    }
}

/// All categories.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CategoryList {
    pub(crate) items: Vec<CategoryView>,
}

/// A page of products, and all categories.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProductList {
    pub(crate) items: Vec<ProductView>,
    /// The `cursor` of the next page, if there is one.
    pub(crate) next_cursor: Option<String>,
    pub(crate) categories: Vec<CategoryView>,
}

/// An order in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderSummary {
    id: OrderId,
    number: OrderNumber,
    status: OrderStatus,
    payment: PaymentStatus,
    fulfilment: FulfilmentStatus,
    /// What the order waits for. `null` if it does not wait.
    wait: Option<Wait>,
    currency: Currency,
    total_cents: Cents,
    tracking_number: Option<String>,
    placed_at: Timestamp,
    updated_at: Timestamp,
}

/// An order with all its fields.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Order")]
pub(crate) struct OrderView {
    #[serde(flatten)]
    summary: OrderSummary,
    lines: Vec<Line>,
    shipping_address: Address,
    /// The refunds, made or in progress, the oldest first.
    refunds: Vec<RefundView>,
    /// Only for callers with `orders:read-any`.
    #[serde(skip_serializing_if = "Option::is_none")]
    for_staff: Option<StaffView>,
}

/// The part of an order that only staff can see.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StaffView {
    /// The address for messages about the order.
    email: String,
    /// Whether it was placed without an account.
    is_guest: bool,
    /// The payment provider's id of the payment, once there is one.
    #[schema(value_type = Option<String>)]
    payment_id: Option<PaymentId>,
    /// When the authorization expires, if the payment provider has reported it.
    capture_before: Option<Timestamp>,
    /// What was authorized, captured, voided and refunded, the oldest first.
    money: Vec<Movement>,
    /// The disputes of its payment, the oldest first.
    disputes: Vec<Dispute>,
    #[serde(flatten)]
    refunds: RefundsView,
}

/// The approvals of an order's refunds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefundsView {
    /// The order's last requests for approval, the newest first.
    #[serde(rename = "refund_approvals")]
    pub(crate) approvals: Vec<RefundApproval>,
    /// A refund needs approval if the order's refunds then exceed this amount. `null` if no refund
    /// needs approval.
    #[serde(rename = "refund_approval_above_cents")]
    pub(crate) approval_above_cents: Option<Cents>,
}

/// A refund, without its reason, which only staff can see.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Refund")]
pub(crate) struct RefundView {
    id: RefundId,
    amount_cents: Cents,
    status: RefundStatus,
}

impl From<&Refund> for RefundView {
    fn from(refund: &Refund) -> Self {
        Self {
            id: refund.id,
            amount_cents: refund.cents,
            status: refund.status,
        }
    }
}

impl From<&Order> for OrderSummary {
    fn from(order: &Order) -> Self {
        Self {
            id: order.id,
            number: order.number.clone(),
            status: order.status,
            payment: order.payment.status(),
            fulfilment: order.fulfilment,
            wait: order.wait.clone(),
            currency: order.currency.clone(),
            total_cents: order.total,
            tracking_number: order
                .label
                .as_ref()
                .and_then(|label| label.tracking_number.clone()),
            placed_at: order.placed_at,
            updated_at: order.updated_at,
        }
    }
}

impl From<&Order> for OrderView {
    fn from(order: &Order) -> Self {
        Self {
            summary: order.into(),
            lines: order.lines.clone(),
            shipping_address: order.shipping_address.clone(),
            refunds: order.refunds.iter().map(Into::into).collect(),
            for_staff: None,
        }
    }
}

impl OrderView {
    /// Adds the part that only staff can see. The movements of money are derived from the events.
    pub(crate) fn with_staff_part(
        mut self,
        order: &Order,
        events: &[TimelineEntry],
        refunds: RefundsView,
    ) -> Self {
        self.for_staff = Some(StaffView {
            email: order.shopper.email.clone(),
            is_guest: order.shopper.is_guest(),
            payment_id: order.payment.id().cloned(),
            capture_before: order.payment.capture_before(),
            money: orders::movements(order.total, events),
            disputes: order.disputes.clone(),
            refunds,
        });
        self
    }
}

/// An order in the result of a search by staff.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "FoundOrder")]
pub(crate) struct FoundOrder {
    #[serde(flatten)]
    summary: OrderSummary,
    /// The address for messages about the order.
    email: String,
    /// Whether it was placed without an account.
    is_guest: bool,
}

impl From<&Order> for FoundOrder {
    fn from(order: &Order) -> Self {
        Self {
            summary: order.into(),
            email: order.shopper.email.clone(),
            is_guest: order.shopper.is_guest(),
        }
    }
}

/// A page of orders found by staff, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FoundOrders {
    pub(crate) items: Vec<FoundOrder>,
    /// The `cursor` of the next page, if there is one.
    pub(crate) next_cursor: Option<String>,
}

/// An order without an account, with its events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GuestOrder {
    pub(crate) order: OrderView,
    /// The order's events, the oldest first.
    pub(crate) events: Vec<TimelineEntry>,
}

/// A page of orders, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderList {
    pub(crate) items: Vec<OrderSummary>,
    /// The `cursor` of the next page, if there is one.
    pub(crate) next_cursor: Option<String>,
}

/// All events of an order, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Timeline {
    pub(crate) items: Vec<TimelineEntry>,
}

//! The domain: orders and how they change, money, and the catalogue.
//!
//! Types and rules only. Nothing here reads a clock, a database or the network; rules take what
//! they depend on as arguments.

mod address;
pub mod catalogue;
mod currency;
mod dispute;
mod event;
mod ids;
mod money;
mod movement;
mod order;
mod payment;
mod placement;
mod refund;
mod status;
mod text;

pub use address::{Address, AddressLine, Country, PostalCode};
pub use currency::{AmountError, CURRENCIES, CurrencyRules, UnsupportedCurrency};
pub use dispute::{Dispute, DisputeStatus, DisputedFunds};
pub use event::{CancelledBy, OrderEvent, TimelineEntry};
pub use ids::{
    Email, IdempotencyKey, LabelId, OrderId, OrderNumber, PaymentId, PaymentMethod, RefundId,
    ShipmentId, ShopId, ShopperId, Sku,
};
pub use money::{Cents, Currency, Money};
pub use movement::{Movement, MovementKind, movements};
pub use order::{EventNotAllowed, Label, Line, Order, Provider, Wait};
pub use payment::{AuthorizedPayment, NoPaymentId, Payment};
pub use placement::{
    MAX_LINES, Placement, PlacementError, Quantity, RequestHash, RequestedLine, RequestedLines,
    Shopper,
};
pub use refund::{NotRefundable, Refund, RefundLimits, RefundPlan, RefundRequest, RefundStatus};
pub use status::{FulfilmentStatus, OrderStatus, PaymentStatus};
pub use text::{Invalid, is_legible};

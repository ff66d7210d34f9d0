//! The worker's clients, which implement the services that its steps call.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use orders::{LabelId, Order, OrderEvent, OrderId, PaymentId, Provider, ShipmentId, ShopId, Wait};
use providers::{
    Authorization, BoughtLabel, CallError, Parcel, PaymentIntent, Payments, Refund, RefundCall,
    ShipmentLookup, Shipping, VoidReason,
};
use store::{
    Command, Database, Executions, NewAttention, Parked, Queue, RecordError, StoreError, Users,
    Work,
};

use crate::{
    guard::{Failure, Guard},
    services::{Books, Guarded, PaymentCalls, ShippingCalls},
};

/// The clients of everything that the worker calls.
#[derive(Clone)]
pub struct Clients {
    /// The database.
    pub database: Database,
    /// The executions of the state machines.
    pub executions: Executions,
    /// The parked executions.
    pub parked: Parked,
    /// Carries commands to release parked executions.
    pub releases: Queue<Command>,
    /// The payment provider.
    pub payments: Payments,
    /// Its circuit breaker and retries.
    pub payments_guard: Guard,
    /// The shipping provider.
    pub shipping: Shipping,
    /// Its circuit breaker and retries.
    pub shipping_guard: Guard,
    /// The shoppers' accounts.
    pub users: Users,
}

impl Clients {
    /// The circuit breaker and retries of a provider.
    pub(crate) const fn guard(&self, provider: Provider) -> &Guard {
        match provider {
            Provider::Payments => &self.payments_guard,
            Provider::Shipping => &self.shipping_guard,
        }
    }
}

#[async_trait]
impl Books for Clients {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn chance(&self) -> f64 {
        rand::random()
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        self.database.orders().find(id).await
    }

    async fn record(
        &self,
        id: OrderId,
        decide: impl for<'a> Fn(&'a Order) -> Vec<OrderEvent> + Send + Sync,
    ) -> Result<Order, RecordError> {
        self.database.orders().record(id, self.now(), decide).await
    }

    async fn record_call(&self, id: OrderId) -> Result<(), StoreError> {
        self.database.orders().record_call(id, self.now()).await
    }

    async fn update_wait(&self, order: &Order, wait: &Wait) -> Result<(), StoreError> {
        self.database.orders().update_wait(order, wait).await
    }

    async fn has_requested_label(&self, id: OrderId) -> Result<bool, StoreError> {
        self.database.orders().has_requested_label(id).await
    }

    async fn finish(&self, work: Work) -> Result<(), StoreError> {
        self.database.outbox().finish(work).await
    }

    async fn raise(&self, finding: &NewAttention) -> Result<bool, StoreError> {
        self.database.attention().raise(finding, self.now()).await
    }

    async fn release_after(&self, delay: Duration) -> Result<(), StoreError> {
        self.releases.send(&Command::Release {}, delay).await
    }
}

#[async_trait]
impl Guarded for Clients {
    async fn guarded<T: Send, F: Future<Output = Result<T, CallError>> + Send>(
        &self,
        provider: Provider,
        attempt: impl FnMut(u32) -> F + Send,
    ) -> Result<T, Failure> {
        self.guard(provider).call(attempt).await
    }
}

#[async_trait]
impl PaymentCalls for Clients {
    async fn authorize(
        &self,
        authorization: Authorization<'_>,
        key: &str,
    ) -> Result<PaymentIntent, CallError> {
        self.payments.authorize(authorization, key).await
    }

    async fn capture(&self, payment_id: &PaymentId, key: &str) -> Result<PaymentIntent, CallError> {
        self.payments.capture(payment_id, key).await
    }

    async fn void_payment(
        &self,
        payment_id: &PaymentId,
        reason: VoidReason,
        key: &str,
    ) -> Result<PaymentIntent, CallError> {
        self.payments.void(payment_id, reason, key).await
    }

    async fn payment(&self, payment_id: &PaymentId) -> Result<PaymentIntent, CallError> {
        self.payments.get(payment_id).await
    }

    async fn payments_of(
        &self,
        shop: &ShopId,
        order_id: OrderId,
    ) -> Result<Vec<PaymentIntent>, CallError> {
        self.payments.list_by_order(shop, order_id).await
    }

    async fn refund(&self, refunding: RefundCall<'_>, key: &str) -> Result<Refund, CallError> {
        self.payments.refund(refunding, key).await
    }

    async fn refunds_of(&self, payment_id: &PaymentId) -> Result<Vec<Refund>, CallError> {
        self.payments.refunds_of(payment_id).await
    }
}

#[async_trait]
impl ShippingCalls for Clients {
    async fn shipment_of(&self, order_id: OrderId) -> Result<ShipmentLookup, CallError> {
        self.shipping.look_up(order_id).await
    }

    async fn buy_label(&self, parcel: Parcel<'_>) -> Result<BoughtLabel, CallError> {
        self.shipping.buy_label(parcel).await
    }

    async fn buy_label_for(&self, shipment_id: &ShipmentId) -> Result<BoughtLabel, CallError> {
        self.shipping.buy_label_for(shipment_id).await
    }

    async fn void_label(&self, label_id: &LabelId) -> Result<(), CallError> {
        self.shipping.void_label(label_id).await
    }
}

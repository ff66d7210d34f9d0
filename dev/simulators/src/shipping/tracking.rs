//! Tracking of parcels: ShipEngine's status codes, events and views.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CARRIER_CODE, Label, effect};
use crate::{clock::to_shown, storage::State, webhooks::enqueue};

/// The status of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TrackingStatus {
    #[serde(rename = "UN")]
    Unknown,
    #[serde(rename = "AC")]
    Accepted,
    #[serde(rename = "NY")]
    NotYetInSystem,
    #[serde(rename = "IT")]
    InTransit,
    #[serde(rename = "EX")]
    Exception,
    #[serde(rename = "AT")]
    DeliveryAttempt,
    #[serde(rename = "SP")]
    DeliveredToCollectionLocation,
    #[serde(rename = "DE")]
    Delivered,
}

impl TrackingStatus {
    const fn description(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Accepted => "Accepted",
            Self::NotYetInSystem => "Not Yet In System",
            Self::InTransit => "In Transit",
            Self::Exception => "Exception",
            Self::DeliveryAttempt => "Delivery Attempt",
            Self::DeliveredToCollectionLocation => "Delivered To Collection Location",
            Self::Delivered => "Delivered",
        }
    }
}

/// A change of a parcel's status.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct TrackingStep {
    at: Timestamp,
    status: TrackingStatus,
}

impl Label {
    /// Changes the parcel's status. Returns the event that announces it.
    pub(super) fn track(
        mut self,
        state: &mut State<'_>,
        status: TrackingStatus,
    ) -> anyhow::Result<Value> {
        let at = Timestamp::now();
        if status == TrackingStatus::Delivered && self.delivered_at().is_none() {
            state.record(effect("delivered", &self, 0))?;
        }
        self.tracking.push(TrackingStep { at, status });
        self.store(state)?;
        let number = &self.tracking_number;
        let event = json!({
            "resource_url": format!(
                "https://api.shipengine.com/v1/tracking?carrier_code={CARRIER_CODE}\
                 &tracking_number={number}"
            ),
            "resource_type": "API_TRACK",
            "data": self.tracking_view(),
        });
        enqueue(state, &self.id, &event)?;
        Ok(event)
    }

    fn status(&self) -> TrackingStatus {
        self.tracking
            .last()
            .map_or(TrackingStatus::Accepted, |last| last.status)
    }

    /// When it was delivered, if it was.
    fn delivered_at(&self) -> Option<Timestamp> {
        let delivered = |it: &&TrackingStep| it.status == TrackingStatus::Delivered;
        self.tracking.iter().find(delivered).map(|it| it.at)
    }

    /// The `tracking_status` of the label.
    pub(super) fn tracking_status(&self) -> &'static str {
        match self.status() {
            _ if self.voided => "unknown",
            TrackingStatus::Unknown => "unknown",
            TrackingStatus::Exception => "error",
            TrackingStatus::Delivered => "delivered",
            _ => "in_transit",
        }
    }

    pub(super) fn tracking_view(&self) -> Value {
        let status = self.status();
        let events: Vec<Value> = self
            .tracking
            .iter()
            .rev()
            .map(|it| self.event(it))
            .collect();
        let mut view = json!({
            "tracking_number": self.tracking_number,
            "status_code": status,
            "status_description": status.description(),
            "carrier_status_code": status,
            "carrier_status_description": status.description(),
            "ship_date": to_shown(self.created_at),
            "events": events,
        });
        if let Some(delivered_at) = self.delivered_at() {
            view["actual_delivery_date"] = to_shown(delivered_at).to_string().into();
        }
        if status == TrackingStatus::Exception {
            view["exception_description"] = "The parcel was damaged.".into();
        }
        view
    }

    fn event(&self, tracked: &TrackingStep) -> Value {
        let TrackingStep { at, status } = tracked;
        let ship_to = &self.shipment["ship_to"];
        json!({
            "occurred_at": to_shown(*at),
            "carrier_occurred_at": to_shown(*at),
            "description": status.description(),
            "city_locality": ship_to["city_locality"],
            "state_province": ship_to["state_province"].as_str().unwrap_or_default(),
            "postal_code": ship_to["postal_code"],
            "country_code": ship_to["country_code"],
            "company_name": "",
            "signer": "",
            "event_code": status,
            "carrier_detail_code": status,
            "status_code": status,
            "status_description": status.description(),
            "carrier_status_code": status,
            "carrier_status_description": status.description(),
        })
    }
}

use shared::domain::Channel;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// The time between two claims.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The time for which nothing is sent by a channel after its provider has asked for fewer at a
/// time.
const PAUSE: Duration = Duration::from_secs(1);

/// The number of invitations that are sent at the same time at a usual rate.
const AT_ONCE: usize = 16;

/// The largest number of invitations that are sent at the same time.
const AT_ONCE_MAX: usize = 200;

/// The number of invitations that are sent at the same time, so that the rate is reached at the
/// tenth of a second that SES takes, and at twice that.
fn at_once(send_rate: u16) -> usize {
    (usize::from(send_rate) / 5).clamp(AT_ONCE, AT_ONCE_MAX)
}

/// The pace of sending: so many in a second, so many at once, and none by a channel that pauses.
pub(crate) struct Pace {
    /// The largest number in a second.
    rate: u16,
    /// The number that may be sent by now; it grows with time.
    allowance: f64,
    last_grown: Option<Instant>,
    pauses: HashMap<Channel, Instant>,
}

impl Pace {
    pub(crate) fn new(rate: u16) -> Self {
        Self {
            rate,
            allowance: 1.0,
            last_grown: None,
            pauses: HashMap::new(),
        }
    }

    /// The number that may be claimed now, while so many are being sent. What was not used in time
    /// is not made up for: SES counts each second by itself.
    pub(crate) fn allows(&mut self, now: Instant, being_sent: usize) -> usize {
        let rate = f64::from(self.rate);
        let passed = self.last_grown.map_or(Duration::ZERO, |last| now - last);
        self.last_grown = Some(now);
        let most = (rate * 2.0 * TICK.as_secs_f64()).max(1.0);
        self.allowance = (self.allowance + passed.as_secs_f64() * rate).min(most);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and a fifth of the rate"
        )]
        let allowed = self.allowance as usize;
        allowed.min(at_once(self.rate).saturating_sub(being_sent))
    }

    pub(crate) fn took(&mut self, number: usize) {
        self.allowance -= f64::from(u32::try_from(number).expect("the number is small"));
    }

    pub(crate) fn pause(&mut self, channel: Channel, now: Instant) {
        self.pauses.insert(channel, now + PAUSE);
    }

    /// The channels that do not pause.
    pub(crate) fn channels(&self, now: Instant) -> Vec<Channel> {
        let may_send = |channel: &Channel| self.pauses.get(channel).is_none_or(|end| *end <= now);
        Channel::ALL.iter().copied().filter(may_send).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_is_reached_while_ses_takes_a_fifth_of_a_second() {
        for send_rate in [1, 14, 80, 81, 500, 1000] {
            assert!(
                at_once(send_rate) * 5 + 4 >= usize::from(send_rate),
                "{send_rate}"
            );
        }
        assert_eq!((at_once(1), at_once(u16::MAX)), (AT_ONCE, AT_ONCE_MAX));
    }

    #[test]
    fn no_more_is_claimed_than_can_be_sent_at_once() {
        for rate in [1, 16, 17, 500, 1000] {
            let mut pace = Pace::new(rate);
            let mut now = Instant::now();
            for _ in 0..20 {
                assert!(pace.allows(now, 0) <= at_once(rate));
                assert_eq!(pace.allows(now, at_once(rate)), 0);
                now += Duration::from_secs(1);
            }
        }
    }

    #[test]
    fn a_second_has_no_more_than_the_rate() {
        for rate in [1, 5, 14, 100, 1000] {
            let mut pace = Pace::new(rate);
            let mut now = Instant::now();
            let mut sent = 0;
            for _ in 0..100 {
                let number = pace.allows(now, 0);
                pace.took(number);
                sent += number;
                now += TICK;
            }
            // A hundred ticks are ten seconds but for the last one; the first is allowed one.
            let (least, most) = (usize::from(rate) * 99 / 10, usize::from(rate) * 10);
            assert!((least..=most).contains(&sent), "{rate}: {sent}");
        }
    }

    #[test]
    fn only_the_channel_that_is_throttled_pauses() {
        let mut pace = Pace::new(14);
        let now = Instant::now();
        pace.pause(Channel::Email, now);
        assert_eq!(pace.channels(now), [Channel::Sms]);
        assert_eq!(pace.channels(now + PAUSE), Channel::ALL);
    }
}

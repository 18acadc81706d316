//! Numbers and times in words, and durations as people type them.

use std::time::Duration;

use jiff::{Timestamp, Zoned};

/// Reads `90s`, `15m`, `2h`, `1d`, or seconds without a unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(format!("{unit:?} is not a unit; use s, m, h or d, as in 15m")),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    match seconds {
        None => Err("write a number and a unit, as in 15m".to_owned()),
        Some(0) => Err("this must be longer than nothing".to_owned()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

/// Reads a time in RFC 3339; gives it in UTC.
pub(crate) fn parse_time(text: &str) -> Result<String, String> {
    let time = text.parse::<Timestamp>();
    time.map(|time| time.to_string()).map_err(|_| "write it like this: 2026-11-21T07:41:00Z".to_owned())
}

/// How long ago something was: `5 minutes ago`. As it stands if it isn't a time.
pub(crate) fn ago(rfc3339: &str) -> String {
    let Ok(then) = rfc3339.parse::<Timestamp>() else { return rfc3339.to_owned() };
    let seconds = Timestamp::now().as_second() - then.as_second();
    format!("{} ago", span(u64::try_from(seconds).unwrap_or_default()))
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn listed<S: AsRef<str>>(words: &[S]) -> String {
    match words {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// `1 record`, `2 records`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// Digits in groups of three: `1,000,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A length of time in its largest whole unit: `3 minutes`.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => count(seconds, "second", "seconds"),
        60..3600 => count(seconds / 60, "minute", "minutes"),
        3600..86_400 => count(seconds / 3600, "hour", "hours"),
        _ => count(seconds / 86_400, "day", "days"),
    }
}

/// How long something is valid, and until when on the clock on this wall: `for 15 minutes, until 14:32`. As it
/// stands if it isn't a time.
pub(crate) fn validity(rfc3339: &str) -> String {
    validity_from(rfc3339, &Zoned::now())
}

fn validity_from(rfc3339: &str, now: &Zoned) -> String {
    let Ok(end) = rfc3339.parse::<Timestamp>() else { return rfc3339.to_owned() };
    let end = end.to_zoned(now.time_zone().clone());
    let left = u64::try_from(end.timestamp().as_second() - now.timestamp().as_second());
    let until = end.strftime(match left {
        // The minute alone may be the one that it is now.
        Ok(..60) => "%H:%M:%S",
        _ if end.date() == now.date() => "%H:%M",
        _ => "%H:%M on %A, %-d %B",
    });
    match left {
        // Half a minute up, so that fifteen minutes that were just started are called that.
        Ok(left) if left >= 90 => format!("for {}, until {until}", span(left + 30)),
        Ok(left) => format!("for {}, until {until}", span(left)),
        Err(_) => format!("no longer: it ended at {until}"),
    }
}

/// Seconds with a sensible number of digits: `4 ms`, `1.25 s`, `12.3 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        return millis(seconds * 1000.0);
    }
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.1} s") }
}

/// Milliseconds with a sensible number of digits.
pub(crate) fn millis(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_type_them() {
        assert_eq!(parse_duration("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_hours(2)));
        for text in ["", "m", "0s", "-5m", "5 m", "5w", "99999999999999999999s", "999999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_and_lists_are_read_and_written_as_people_do() {
        assert_eq!(parse_time("2026-11-21T08:41:00+01:00").as_deref(), Ok("2026-11-21T07:41:00Z"));
        assert!(parse_time("yesterday").is_err() && parse_time("2026-11-21").is_err());
        assert_eq!(ago("soon"), "soon");
        assert!(ago("1970-01-01T00:00:00Z").ends_with(" days ago"));
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
        assert_eq!((listed(&["a", "b"]), listed(&["a"])), ("a and b".into(), "a".into()));
    }

    #[test]
    fn numbers_have_their_unit() {
        assert_eq!(count(1, "record", "records"), "1 record");
        assert_eq!(count(1_000_000, "record", "records"), "1,000,000 records");
        assert_eq!(span(3 * 60 + 5), "3 minutes");
    }

    #[test]
    fn an_expiry_is_told_as_a_length_and_in_local_time() {
        // Two hours ahead of UTC, so that the evening there is not the evening here.
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
        let now = |text: &str| text.parse::<Timestamp>().unwrap().to_zoned(zone.clone());
        let end = "2026-09-21T14:13:20Z";
        let said = |at| validity_from(end, &now(at));
        assert_eq!(said("2026-09-21T13:58:21Z"), "for 15 minutes, until 16:13");
        assert_eq!(said("2026-09-21T14:12:35Z"), "for 45 seconds, until 16:13:20");
        assert_eq!(said("2026-09-20T21:59:00Z"), "for 16 hours, until 16:13 on Monday, 21 September");
        assert_eq!(said("2026-09-21T14:13:21Z"), "no longer: it ended at 16:13");
        assert_eq!(validity_from("soon", &now(end)), "soon");
    }
}

use super::{ErrorCode, ValidationError, pasted};
use postgres_types::{FromSql, ToSql};
use serde::Serialize;
use std::str::FromStr;

/// The officially assigned codes of ISO 3166-1, alpha-2.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV \
BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA \
GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI \
KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA \
NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK \
SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS \
YE YT ZA ZM ZW";

/// A country, by its code of ISO 3166-1 alpha-2: `IT`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSql, FromSql)]
#[postgres(transparent)]
pub struct Country(String);

impl Country {
    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Country {
    type Err = ValidationError;

    /// Reads a code as it is typed or pasted, in either case.
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let code = pasted::plain(text).to_ascii_uppercase();
        if COUNTRIES
            .split_ascii_whitespace()
            .any(|known| known == code)
        {
            Ok(Self(code))
        } else {
            Err(ValidationError::new(
                ErrorCode::CountryInvalid,
                "must be a country's code (ISO 3166-1 alpha-2) like IT",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_iso_3166_is_a_country() {
        assert_eq!(COUNTRIES.split_ascii_whitespace().count(), 249);
        for right in ["IT", "it", " GB\n"] {
            assert_eq!(
                right.parse::<Country>().unwrap().0,
                right.trim().to_uppercase()
            );
        }
        for wrong in ["", "UK", "EU", "ITA", "XX", "I", "I T", "Italy"] {
            assert!(
                wrong.parse::<Country>().is_err(),
                "{wrong:?} was taken for a country"
            );
        }
    }
}

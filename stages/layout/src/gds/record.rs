//! Record types and the 8-byte real of GDSII.

pub const HEADER: u8 = 0x00;
pub const BGNLIB: u8 = 0x01;
pub const LIBNAME: u8 = 0x02;
pub const UNITS: u8 = 0x03;
pub const ENDLIB: u8 = 0x04;
pub const BGNSTR: u8 = 0x05;
pub const STRNAME: u8 = 0x06;
pub const ENDSTR: u8 = 0x07;
pub const BOUNDARY: u8 = 0x08;
pub const PATH: u8 = 0x09;
pub const SREF: u8 = 0x0a;
pub const AREF: u8 = 0x0b;
pub const TEXT: u8 = 0x0c;
pub const LAYER: u8 = 0x0d;
pub const DATATYPE: u8 = 0x0e;
pub const WIDTH: u8 = 0x0f;
pub const XY: u8 = 0x10;
pub const ENDEL: u8 = 0x11;
pub const SNAME: u8 = 0x12;
pub const COLROW: u8 = 0x13;
pub const NODE: u8 = 0x15;
pub const TEXTTYPE: u8 = 0x16;
pub const PRESENTATION: u8 = 0x17;
pub const STRING: u8 = 0x19;
pub const STRANS: u8 = 0x1a;
pub const MAG: u8 = 0x1b;
pub const ANGLE: u8 = 0x1c;
pub const PATHTYPE: u8 = 0x21;
pub const NODETYPE: u8 = 0x2a;
pub const PROPATTR: u8 = 0x2b;
pub const PROPVALUE: u8 = 0x2c;
pub const BOX: u8 = 0x2d;
pub const BOXTYPE: u8 = 0x2e;
pub const BGNEXTN: u8 = 0x30;
pub const ENDEXTN: u8 = 0x31;

/// Data types, the fourth byte of a record.
pub const NO_DATA: u8 = 0;
pub const BITS: u8 = 1;
pub const INT2: u8 = 2;
pub const INT4: u8 = 3;
pub const REAL8: u8 = 5;
pub const ASCII: u8 = 6;

/// Excess-64, base-16 floating point: sign, 7 bits of exponent, 56 bits of mantissa below the point.
pub fn decode_real(bits: u64) -> f64 {
    let exponent = i32::try_from((bits >> 56) & 0x7f).unwrap_or(0) - 64;
    let mantissa = (bits & 0x00ff_ffff_ffff_ffff) as f64 / 2f64.powi(56);
    let value = mantissa * 16f64.powi(exponent);
    if bits >> 63 == 1 {
        -value
    } else {
        value
    }
}

/// The nearest GDSII real; `None` when it is out of range or no number.
pub fn encode_real(value: f64) -> Option<u64> {
    if value == 0.0 {
        return Some(0);
    }
    if !value.is_finite() {
        return None;
    }
    let mut exponent = 64u64;
    let mut mantissa = value.abs();
    while mantissa >= 1.0 {
        (mantissa, exponent) = (mantissa / 16.0, exponent + 1);
    }
    while mantissa < 1.0 / 16.0 {
        (mantissa, exponent) = (mantissa * 16.0, exponent.checked_sub(1)?);
    }
    let bits = (mantissa * 2f64.powi(56)).round() as u64;
    (exponent < 128 && bits < 1 << 56)
        .then_some(u64::from(value < 0.0) << 63 | exponent << 56 | bits)
}

# Antenna ratios: one gate, and on it a stack of conductors up to the one that collects too much.

# Poly to met5, each with the cut above it: width of a wire, pitch of wires, pad; size and pitch of the cut.
STACK = [
  ["poly", 0.15, 0.40, 0.37, "licon", 0.17, 0.34], ["li1", 0.17, 0.40, 0.41, "mcon", 0.17, 0.36],
  ["met1", 0.14, 0.40, 0.41, "via", 0.15, 0.32], ["met2", 0.14, 0.40, 0.45, "via2", 0.20, 0.40],
  ["met3", 0.30, 0.80, 0.71, "via3", 0.20, 0.40], ["met4", 0.30, 0.80, 1.40, "via4", 0.80, 1.60],
  ["met5", 1.60, 3.20, 2.20, nil, nil, nil]
].freeze

# Thickness whose sidewall counts (none: the area), limit, factor on the diode's area, bonus, as table Ie has them.
RATIOS = {
  "poly" => [0.18, 50], "licon" => [nil, 3], "li1" => [0.10, 75, 450, 0], "mcon" => [nil, 3, 18, 0],
  "met1" => [0.35, 400, 400, 2200], "via" => [nil, 6, 36, 0], "met2" => [0.35, 400, 400, 2200], "via2" => [nil, 6, 36, 0],
  "met3" => [0.80, 400, 400, 2200], "via3" => [nil, 6, 36, 0], "met4" => [0.80, 400, 400, 2200], "via4" => [nil, 6, 36, 0],
  "met5" => [2.0, 400, 400, 2200]
}.freeze
DIODE_SIDE = 0.45
GATE_LENGTH = 0.15
# From the pad to a diode or a tap.
STRIP = [-0.205, -0.205, 0.205, 2].freeze
TOOTH = 40.0

def antenna_tiles
  RATIOS.each do |layer, (sidewall, limit, factor, bonus)|
    # A wider gate where one via4 alone is too much for a small one.
    width = { "via4" => 2.0, "met5" => 0.9 }.fetch(layer, 0.52)
    gate = width * GATE_LENGTH
    tile("antenna.#{layer}") { |sheet, bad| draw_antenna(sheet, layer, width, amount(limit * gate, sidewall, layer, bad)) }
    next unless factor
    ratio = limit + bonus + factor * DIODE_SIDE**2
    tile("antenna.#{layer}") do |sheet, bad|
      draw_antenna(sheet, layer, width, amount(ratio * gate, sidewall, layer, bad), STRIP)
      draw_diode(sheet)
    end
  end
  # A tap of the substrate takes any charge.
  tile("antenna.met1") do |sheet, bad|
    draw_antenna(sheet, "met1", 0.52, amount(500 * 0.52 * GATE_LENGTH, 0.35, "met1", true), STRIP)
    sheet.tap("psdm", bad ? 1.5 : -0.205, 1.59)
  end
end

# What just keeps a limit on sidewall or area, or one step more: the perimeter in micrometres, or the number of cuts.
def amount(most, sidewall, layer, bad)
  return (most / sidewall / (2 * STEP) + 1e-6).floor * 2 * STEP + (bad ? 2 * STEP : 0) if sidewall
  size = STACK.find { |one| one[4] == layer }[5]
  (most / size**2).floor + (bad ? 1 : 0)
end

# The transistor at the left of the origin, its poly running to a pad there, and the stack on that up to `last`; `strip` is a
# piece of li1 that belongs to it.
def draw_antenna(sheet, last, width, amount, strip = nil)
  sheet.tap("psdm", -1 - width - 3, 0)
  sheet.box("diff", -1 - width, -0.4, -1, 0.4)
  sheet.box("nsdm", -1.2 - width, -0.6, -0.8, 0.6)
  gate = [-1.2 - width, -GATE_LENGTH / 2, 0, GATE_LENGTH / 2]
  STACK.each do |conductor, wire, pitch, pad, cut, size, cut_pitch|
    at_pad = [-pad / 2, -pad / 2, pad / 2, pad / 2].map { |value| (value / STEP).round * STEP }
    boxes = conductor == "poly" ? [gate, at_pad] : [at_pad]
    boxes << strip if strip && conductor == "li1"
    boxes += teeth(boxes, wire, pitch, amount) if conductor == last
    boxes.each { |box| sheet.box(conductor, *box) }
    break if conductor == last
    draw_cuts(sheet, cut, size, cut_pitch, cut == last ? amount : 1)
    break if cut == last && draw_pad_above(sheet, cut)
  end
end

def draw_pad_above(sheet, cut)
  conductor, _, _, pad = STACK[STACK.index { |one| one[4] == cut } + 1]
  sheet.square(conductor, 0, 0, pad)
end

# Cuts in rows of eight from the origin, with plates of both conductors under and over them.
def draw_cuts(sheet, cut, size, pitch, count)
  count.times { |index| sheet.square(cut, pitch * (index % 8), pitch * (index / 8), size) }
  below = STACK.index { |one| one[4] == cut }
  right, top = pitch * ([count, 8].min - 1), pitch * ((count - 1) / 8)
  margin = { "via4" => 0.8 }.fetch(cut, 0.2)
  plates = count > 1 ? [STACK[below][0], STACK[below + 1][0]] : []
  plates << "npc" if cut == "licon"
  plates.each { |layer| sheet.box(layer, -margin - size / 2, -margin - size / 2, right + margin + size / 2, top + margin + size / 2) }
end

# Wires on a spine that give the conductor the perimeter wanted; all of the same length but the last.
def teeth(boxes, wire, pitch, perimeter)
  count = [(perimeter / (2 * TOOTH)).floor, 1].max
  spine = wire > 1 ? 3.0 : 1.5
  drawn = lambda do |last|
    long = (0...count).map do |index|
      right = index == count - 1 ? last : TOOTH
      [index.zero? ? 0 : spine, index * pitch - wire / 2, right, index * pitch + wire / 2]
    end
    count > 1 ? long + [[spine, -wire / 2, spine + wire, (count - 1) * pitch + wire / 2]] : long
  end
  start = spine + 5
  missing = perimeter - perimeter_of(boxes + drawn.call(start))
  drawn.call(start + missing / 2)
end

def perimeter_of(boxes)
  region = RBA::Region::new
  boxes.each { |box| region.insert(RBA::Box::new(*box.map { |value| (value * 1000).round })) }
  region.merged.perimeter / 1000.0
end

# A drain under the strip of li1.
def draw_diode(sheet)
  sheet.square("diff", 0, 1.6, DIODE_SIDE)
  sheet.square("nsdm", 0, 1.6, 0.9)
  sheet.square("licon", 0, 1.6, 0.17)
end

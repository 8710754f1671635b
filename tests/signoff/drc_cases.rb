# Small layouts for the tests of the rule deck: `faulty.gds`, where each tile breaks one rule, `fixed.gds`, where each tile
# just keeps it, and `cases.txt` with "rule x1 y1 x2 y2 [rules that may fire too]" for each tile.
#
#   klayout -b -r drc_cases.rb -rd out=FOLDER

LAYERS = {
  "nwell" => [64, 20], "diff" => [65, 20], "tap" => [65, 44], "poly" => [66, 20], "licon" => [66, 44], "li1" => [67, 20],
  "mcon" => [67, 44], "met1" => [68, 20], "via" => [68, 44], "met2" => [69, 20], "via2" => [69, 44], "met3" => [70, 20],
  "via3" => [70, 44], "met4" => [71, 20], "via4" => [71, 44], "met5" => [72, 20], "nsdm" => [93, 44], "psdm" => [94, 20],
  "npc" => [95, 20], "met1 pin" => [68, 16]
}
PITCH = 100.0
STEP = 0.005

# One of the two files while it is drawn.
class Sheet
  def initialize(path)
    @path = path
    @layout = RBA::Layout::new
    @cell = @layout.create_cell("top")
    @tile = -1
  end

  def next_tile
    @tile += 1
    @x, @y = (@tile % 10) * PITCH, (@tile / 10) * PITCH
  end

  def bounds
    [@x - 20, @y - 20, @x + 60, @y + 60]
  end

  def box(layer, x1, y1, x2, y2)
    polygon(layer, [[x1, y1], [x1, y2], [x2, y2], [x2, y1]])
  end

  def polygon(layer, points)
    points = points.map { |x, y| RBA::Point::new(((@x + x) * 1000).round, ((@y + y) * 1000).round) }
    @cell.shapes(@layout.layer(*LAYERS[layer])).insert(RBA::Polygon::new(points))
  end

  # A contacted tap of 0.41 x 0.41 with its implant, li1 on it.
  def tap(implant, x, y)
    box("tap", x, y, x + 0.41, y + 0.41)
    box(implant, x - 0.2, y - 0.2, x + 0.61, y + 0.61)
    box("licon", x + 0.12, y + 0.12, x + 0.29, y + 0.29)
    box("li1", x, y, x + 0.41, y + 0.41)
  end

  # An nwell with a tap in its lower left corner.
  def well(x1, y1, x2, y2)
    box("nwell", x1, y1, x2, y2)
    tap("nsdm", x1 + 0.5, y1 + 0.5)
  end

  def write
    options = RBA::SaveLayoutOptions::new
    options.gds2_write_timestamps = false
    @layout.write(@path, options)
  end
end

@faulty, @fixed = Sheet::new(File.join($out, "faulty.gds")), Sheet::new(File.join($out, "fixed.gds"))
@cases = []

# Draws a tile on both sheets; `draw` gets the sheet and whether this is the faulty one.
def tile(rule, *also)
  [[@faulty, true], [@fixed, false]].each do |sheet, bad|
    sheet.next_tile
    yield sheet, bad
  end
  @cases << [rule, *@faulty.bounds, *also].join(" ")
end

# Metals: rule of width, space, area, hole and huge metal with their values, as the public tables have them.
[
  ["li1", "li.1", 0.17, "li.3", 0.17, "li.6", 0.0561, nil, nil, nil, nil],
  ["met1", "m1.1", 0.14, "m1.2", 0.14, "m1.6", 0.083, "m1.7", 0.14, "m1.3ab", 0.28],
  ["met2", "m2.1", 0.14, "m2.2", 0.14, "m2.6", 0.0676, "m2.7", 0.14, "m2.3ab", 0.28],
  ["met3", "m3.1", 0.30, "m3.2", 0.30, "m3.6", 0.24, "m3.7", 0.20, "m3.3cd", 0.40],
  ["met4", "m4.1", 0.30, "m4.2", 0.30, "m4.4a", 0.24, "m4.7", 0.20, "m4.5ab", 0.40],
  ["met5", "m5.1", 1.60, "m5.2", 1.60, "m5.4", 4.0, nil, nil, nil, nil]
].each do |layer, width_rule, width, space_rule, space, area_rule, area, hole_rule, hole, huge_rule, huge|
  tile(width_rule) { |sheet, bad| sheet.box(layer, 0, 0, width - (bad ? STEP : 0), 5) }
  tile(space_rule) do |sheet, bad|
    sheet.box(layer, 0, 0, 2, 3)
    sheet.box(layer, 2 + space - (bad ? STEP : 0), 0, 5 + space, 3)
  end
  tile(area_rule) do |sheet, bad|
    length = (area / width / STEP).ceil * STEP
    sheet.box(layer, 0, 0, width, bad ? length - STEP : length)
  end
  if hole_rule
    tile(hole_rule) do |sheet, bad|
      side = (hole / 0.4 / STEP).ceil * STEP - (bad ? STEP : 0)
      sheet.box(layer, 0, 0, 1.4, 0.5)
      sheet.box(layer, 0, 0.5 + side, 1.4, 1.2 + side)
      sheet.box(layer, 0, 0, 0.5, 1 + side)
      sheet.box(layer, 0.9, 0, 1.4, 1 + side)
    end
  end
  next unless huge_rule
  tile(huge_rule) do |sheet, bad|
    sheet.box(layer, 0, 0, 3.1, 3.1)
    sheet.box(layer, 3.1 + huge - (bad ? STEP : 0), 0, 4.1 + huge, 3)
  end
  # Metal of exactly 3.0 is not huge; what is attached to huge metal within reach of the rule is bound by it.
  tile(huge_rule) do |sheet, bad|
    sheet.box(layer, 0, 0, bad ? 3.1 : 3.0, 3.1)
    sheet.box(layer, bad ? 3.1 : 3.0, 1, 6, 1.5)
    sheet.box(layer, 3.1 + huge + 0.1, 1.5 + width, 6, 2.2 + width)
    sheet.box(layer, (bad ? 3.1 : 3.0) + huge - STEP, 2.6 + width, 8, 3.1 + width)
  end
end
# Two squares that touch in a corner leave no width there.
tile("m1.1", "m1.2") do |sheet, bad|
  sheet.box("met1", 0, 0, 1, 1)
  sheet.box("met1", bad ? 1 : 0.8, bad ? 1 : 0.8, 2, 2)
end

# Cuts: size and space rule; rule and enclosure on all sides, rule and enclosure on a pair of sides, below and above.
[
  ["mcon", 0.17, "ct.1", 0.19, "ct.2", ["li1", "ct.4", 0.0], ["met1", "m1.4", 0.03, "m1.5", 0.06]],
  ["via", 0.15, "via.1a", 0.17, "via.2", ["met1", "via.4a", 0.055, "via.5a", 0.085], ["met2", "m2.4", 0.055, "m2.5", 0.085]],
  ["via2", 0.20, "via2.1a", 0.20, "via2.2", ["met2", "via2.4", 0.04, "via2.5", 0.085], ["met3", "m3.4", 0.065]],
  ["via3", 0.20, "via3.1", 0.20, "via3.2", ["met3", "via3.4", 0.06, "via3.5", 0.09], ["met4", "m4.3", 0.065]],
  ["via4", 0.80, "via4.1", 0.80, "via4.2", ["met4", "via4.4", 0.19], ["met5", "m5.3", 0.31]]
].each do |cut, size, size_rule, space, space_rule, lower, upper|
  pads = lambda { |sheet, length| [lower[0], upper[0]].each { |metal| sheet.box(metal, -1, -1, length, size + 1) } }
  tile(size_rule) do |sheet, bad|
    pads.call(sheet, size + 1)
    sheet.box(cut, 0, 0, size, size + (bad ? STEP : 0))
  end
  tile(space_rule) do |sheet, bad|
    pads.call(sheet, 2 * size + space + 0.5)
    sheet.box(cut, 0, 0, size, size)
    sheet.box(cut, size + space - (bad ? STEP : 0), 0, 2 * size + space - (bad ? STEP : 0), size)
  end
  [[lower, upper], [upper, lower]].each do |(metal, all_rule, all, pair_rule, pair), other|
    tile(all_rule) do |sheet, bad|
      sheet.box(other[0], -1, -1, size + 1, size + 1)
      sheet.box(cut, 0, 0, size, size)
      sheet.box(metal, -(all - (bad ? STEP : 0)), -1, size + 1, size + 1)
    end
    next unless pair_rule
    tile(pair_rule) do |sheet, bad|
      sheet.box(other[0], -1, -1, size + 1, size + 1)
      sheet.box(cut, 0, 0, size, size)
      sheet.box(metal, -(pair - STEP), bad ? -(pair - STEP) : -pair, size + 1, size + 1)
    end
    # Too little on two opposite sides is fine when the other two have enough.
    tile(pair_rule) do |sheet, bad|
      sheet.box(other[0], -1, -1, size + 1, size + 1)
      sheet.box(cut, 0, 0, size, size)
      sheet.box(metal, -all, bad ? -(pair - STEP) : -pair, size + all, size + (bad ? 1 : pair))
      sheet.box(metal, -all, size, size + all, size + 1.5)
      sheet.box(metal, -all, bad ? -(pair - STEP) : -1.5, size + all, 0)
    end
  end
end

# Grid, angles, pins.
tile("x.1b") { |sheet, bad| sheet.box("met1", 0, 0, 1, bad ? 1.001 : 1) }
tile("x.2") { |sheet, bad| sheet.polygon("li1", [[0, 0], [0, 2], [bad ? 1 : 2, 2], [2, bad ? 1 : 2], [2, 0]]) }
tile("x.3a") { |sheet, bad| sheet.polygon("met1", [[0, 0], [0, 2], [1, 2], [2, bad ? 1.5 : 1], [2, 0]]) }
tile("x.5") do |sheet, bad|
  sheet.box("met1", 0, 0, 1, 1)
  sheet.box("met1 pin", 0.2, 0.2, bad ? 1 + STEP : 1, 0.8)
end

# Wells, diffusion, poly and contacts.
tile("nwell.1") do |sheet, bad|
  sheet.well(0, 0, 3, 3)
  sheet.box("nwell", 3, 1, 6, 1.84 - (bad ? STEP : 0))
end
tile("nwell.2a") do |sheet, bad|
  sheet.well(0, 0, 3, 3)
  sheet.well(4.27 - (bad ? STEP : 0), 0, 7.5, 3)
end
tile("nwell.4") do |sheet, bad|
  bad ? sheet.box("nwell", 0, 0, 3, 3) : sheet.well(0, 0, 3, 3)
end
tile("difftap.1") do |sheet, bad|
  sheet.tap("psdm", -5, 0)
  sheet.box("diff", 0, 0, 0.15 - (bad ? STEP : 0), 2)
  sheet.box("nsdm", -0.3, -0.3, 0.5, 2.3)
end
tile("difftap.3") do |sheet, bad|
  sheet.tap("psdm", -5, 0)
  sheet.box("diff", 0, 0, 1, 2)
  sheet.box("diff", 1.27 - (bad ? STEP : 0), 0, 2.5, 2)
  sheet.box("nsdm", -0.3, -0.3, 3, 2.3)
end
tile("difftap.8") do |sheet, bad|
  sheet.well(0, 0, 4, 4)
  sheet.box("diff", 2, 0.18 - (bad ? STEP : 0), 3, 1.5)
  sheet.box("psdm", 1.8, 0, 3.2, 1.7)
end
tile("difftap.9") do |sheet, bad|
  sheet.well(0, 0, 3, 3)
  sheet.tap("psdm", -5, 0)
  sheet.box("diff", 3.34 - (bad ? STEP : 0), 0, 5, 2)
  sheet.box("nsdm", 3.2, -0.2, 5.2, 2.2)
end
[["nsdm", "nsd"], ["psdm", "psd"], ["npc", "npc"]].each do |layer, prefix|
  least = prefix == "npc" ? 0.27 : 0.38
  tile("#{prefix}.1") { |sheet, bad| sheet.box(layer, 0, 0, least - (bad ? STEP : 0), 2) }
  tile("#{prefix}.2") do |sheet, bad|
    sheet.box(layer, 0, 0, 1, 2)
    sheet.box(layer, 1 + least - (bad ? STEP : 0), 0, 3, 2)
  end
end
tile("poly.1a") { |sheet, bad| sheet.box("poly", 0, 0, 0.15 - (bad ? STEP : 0), 2) }
tile("poly.2") do |sheet, bad|
  sheet.box("poly", 0, 0, 0.5, 2)
  sheet.box("poly", 0.71 - (bad ? STEP : 0), 0, 1.5, 2)
end
# A transistor: diffusion 1 x 0.65, gate 0.15 wide in its middle; each rule spoils one measure.
transistor = lambda do |sheet, change|
  size = { :beyond => 0.25, :end => 0.13, :height => 0.65, :field => 0.075 }.merge(change)
  sheet.tap("psdm", -5, 0)
  sheet.box("diff", 0.3 - size[:beyond], 0, 1.5, size[:height])
  sheet.box("poly", 0.3, -0.5, 0.45, size[:height] + size[:end])
  sheet.box("nsdm", -0.3, -0.3, 1.8, size[:height] + 0.3)
  sheet.box("poly", 0.8, size[:height] + size[:field], 1.4, size[:height] + 1)
end
tile("poly.4") { |sheet, bad| transistor.call(sheet, bad ? { :field => 0.07 } : {}) }
tile("poly.7") { |sheet, bad| transistor.call(sheet, bad ? { :beyond => 0.245 } : {}) }
tile("poly.8") { |sheet, bad| transistor.call(sheet, bad ? { :end => 0.125 } : {}) }
tile("difftap.2b") { |sheet, bad| transistor.call(sheet, bad ? { :height => 0.355 } : { :height => 0.36 }) }

# A contact on the drain of such a transistor, 0.17 square.
contact = lambda do |sheet, width, height, x, li|
  transistor.call(sheet, {})
  sheet.box("licon", x, 0.2, x + width, 0.2 + height)
  sheet.box("li1", x - li, 0.1, x + width + 0.08, 0.2 + height + 0.3)
end
tile("licon.1") { |sheet, bad| contact.call(sheet, 0.17, bad ? 0.175 : 0.17, 0.7, 0.08) }
tile("licon.2") do |sheet, bad|
  contact.call(sheet, 0.17, 0.17, 0.7, 0.08)
  sheet.box("licon", 1.04 - (bad ? STEP : 0), 0.2, 1.21 - (bad ? STEP : 0), 0.37)
  sheet.box("li1", 0.62, 0.1, 1.3, 0.67)
end
tile("licon.11") { |sheet, bad| contact.call(sheet, 0.17, 0.17, 0.5 - (bad ? STEP : 0), 0.08) }
tile("licon.5a") { |sheet, bad| contact.call(sheet, 0.17, 0.17, bad ? 1.295 : 1.29, 0.08) }
tile("li.5") do |sheet, bad|
  transistor.call(sheet, {})
  sheet.box("licon", 0.7, 0.2, 0.87, 0.37)
  sheet.box("li1", 0.7 - 0.075, 0.2 - (bad ? 0.075 : 0.08), 1.2, 0.7)
end

# Latch-up: a tap within 15 um, on a way that stays in the well.
tile("LU.2") do |sheet, bad|
  sheet.tap("psdm", 0, 0)
  sheet.box("diff", 14, 0, bad ? 15.5 : 15.3, 0.41)
  sheet.box("nsdm", 13.7, -0.3, 16, 0.71)
end
tile("LU.3") do |sheet, bad|
  sheet.well(0, -2, 20, 3)
  sheet.box("diff", 14, -1.5, bad ? 16 : 15.5, -1.09)
  sheet.box("psdm", 13.7, -1.8, 17, -0.79)
end

# Antenna: a gate of 0.5 x 0.15 with met1 up to 400 times its area in sidewall: 2 x 0.35 x length.
tile("antenna.met1", "antenna.li1", "antenna.poly") do |sheet, bad|
  sheet.tap("psdm", -5, 0)
  sheet.box("diff", 0, 0, 1.15, 0.5)
  sheet.box("nsdm", -0.3, -0.3, 1.5, 0.8)
  sheet.box("poly", 0.5, -0.2, 0.65, 1.1)
  sheet.box("poly", 0.4, 1.1, 0.75, 1.45)
  sheet.box("npc", 0.2, 1.0, 1.0, 1.6)
  sheet.box("licon", 0.49, 1.19, 0.66, 1.36)
  sheet.box("li1", 0.41, 1.11, 0.74, 1.5)
  sheet.box("mcon", 0.49, 1.19, 0.66, 1.36)
  sheet.box("met1", 0.4, 1.1, bad ? 44 : 40, 1.45)
end

[@faulty, @fixed].each(&:write)
File.write(File.join($out, "cases.txt"), @cases.join("\n") + "\n")

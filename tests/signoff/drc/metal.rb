# Local interconnect, metals, the cuts between them; grid, angles, pins and labels of all layers.

# Rule of width, space, area, hole and huge metal with their values, as the public tables have them.
METALS = [
  ["li1", "li.1", 0.17, "li.3", 0.17, "li.6", 0.0561, nil, nil, nil, nil],
  ["met1", "m1.1", 0.14, "m1.2", 0.14, "m1.6", 0.083, "m1.7", 0.14, "m1.3ab", 0.28],
  ["met2", "m2.1", 0.14, "m2.2", 0.14, "m2.6", 0.0676, "m2.7", 0.14, "m2.3ab", 0.28],
  ["met3", "m3.1", 0.30, "m3.2", 0.30, "m3.6", 0.24, "m3.7", 0.20, "m3.3cd", 0.40],
  ["met4", "m4.1", 0.30, "m4.2", 0.30, "m4.4a", 0.24, "m4.7", 0.20, "m4.5ab", 0.40],
  ["met5", "m5.1", 1.60, "m5.2", 1.60, "m5.4", 4.0, "m5.7", 0.14, nil, nil]
].freeze

def metal_tiles
  METALS.each do |layer, width_rule, width, space_rule, space, area_rule, area, hole_rule, hole, huge_rule, huge|
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
      # A hole this small is also narrower than the least space of met5.
      tile(hole_rule, *(space > 0.4 ? [space_rule] : [])) do |sheet, bad|
        side = (hole / 0.4 / STEP).ceil * STEP
        across, along = bad ? [0.4, side - STEP] : [[0.4, space].max, [side, space].max]
        ring = [0.5, width].max
        sheet.box(layer, 0, 0, 2 * ring + across, ring)
        sheet.box(layer, 0, ring + along, 2 * ring + across, 2 * ring + along)
        sheet.box(layer, 0, 0, ring, 2 * ring + along)
        sheet.box(layer, ring + across, 0, 2 * ring + across, 2 * ring + along)
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
end

# Size and space rule; rule and enclosure on all sides, rule and enclosure on a pair of sides, below and above.
CUTS = [
  ["mcon", 0.17, "ct.1", 0.19, "ct.2", ["li1", "ct.4", 0.0], ["met1", "m1.4", 0.03, "m1.5", 0.06]],
  ["via", 0.15, "via.1a", 0.17, "via.2", ["met1", "via.4a", 0.055, "via.5a", 0.085], ["met2", "m2.4", 0.055, "m2.5", 0.085]],
  ["via2", 0.20, "via2.1a", 0.20, "via2.2", ["met2", "via2.4", 0.04, "via2.5", 0.085], ["met3", "m3.4", 0.065]],
  ["via3", 0.20, "via3.1", 0.20, "via3.2", ["met3", "via3.4", 0.06, "via3.5", 0.09], ["met4", "m4.3", 0.065]],
  ["via4", 0.80, "via4.1", 0.80, "via4.2", ["met4", "via4.4", 0.19], ["met5", "m5.3", 0.31]]
].freeze

def cut_tiles
  CUTS.each do |cut, size, size_rule, space, space_rule, lower, upper|
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
      # A cut that reaches out of its metal.
      if all > 0
        tile(all_rule, *pair_rule) do |sheet, bad|
          sheet.box(other[0], -1, -1, size + 1, size + 1)
          sheet.box(cut, 0, 0, size, size)
          sheet.box(metal, bad ? STEP : -all, -1, size + 1, size + 1)
        end
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
end

# Grid, angles, pins and labels, for each layer that has the rule.
def shape_tiles
  LAYERS.keys.reject { |name| name.include?(" ") }.each do |name|
    tile("x.1b") { |sheet, bad| draw_with_corner(sheet, name, bad ? :off_grid : :right) }
  end
  %w[diff tap poly licon li1 mcon via via2 via3 via4].each do |name|
    tile("x.2", *size_rule(name)) { |sheet, bad| draw_with_corner(sheet, name, bad ? :half_right : :right) }
  end
  %w[nwell nsdm psdm npc hvtp lvtn met1 met2 met3 met4 met5].each do |name|
    tile("x.3a") { |sheet, bad| draw_with_corner(sheet, name, bad ? :slanted : :half_right) }
  end
  %w[nwell li1 met1 met2 met3 met4 met5].each do |name|
    tile("x.5") do |sheet, bad|
      draw_with_corner(sheet, name, :right)
      sheet.box("#{name} pin", 3, 1, bad ? 5 + STEP : 5, 3)
    end
    tile("x.17") do |sheet, bad|
      draw_with_corner(sheet, name, :right)
      sheet.label(name, bad ? 5 + STEP : 5, 3)
    end
  end
end

def size_rule(name)
  name == "licon" ? "licon.1" : CUTS.find { |cut| cut[0] == name }&.at(2)
end

# A square of the layer `name` with what must lie around it. Its upper right corner is as `corner` says; a cut that is off
# the grid is so as a whole, since its size is fixed.
def draw_with_corner(sheet, name, corner)
  cut = CUTS.find { |one| one[0] == name }
  side = cut ? cut[1] : { "licon" => 0.17 }.fetch(name, 5)
  across, up = { :half_right => [0.2 * side, 0.2 * side], :slanted => [0.2 * side, 0.1 * side] }.fetch(corner, [0, 0])
  points = [[0, 0], [0, side], [side - across, side], [side, side - up], [side, 0]]
  if corner == :off_grid
    points = cut || name == "licon" ? points.map { |x, y| [x + 0.001, y] } : points.map { |x, y| [x, y == side ? y + 0.001 : y] }
  end
  points = points.map { |point| point.map { |value| corner == :off_grid ? value : (value / STEP).round * STEP } }
  [cut[5][0], cut[6][0]].each { |metal| sheet.box(metal, -1, -1, side + 1, side + 1) } if cut
  surround(sheet, name)
  sheet.polygon(name, points.uniq)
end

# Implants, taps and contacts that a shape of 5 x 5 of the front end, or a contact, needs.
def surround(sheet, name)
  case name
  when "nwell" then sheet.tap("nsdm", 0.5, 0.5)
  when "tap"
    sheet.box("psdm", -0.2, -0.2, 5.3, 5.3)
    sheet.square("licon", 1, 1, 0.17)
    sheet.square("li1", 1, 1, 0.41)
  when "diff", "licon"
    sheet.tap("psdm", -5, 0)
    sheet.box("nsdm", -1.2, -1.2, 5.3, 5.3)
    return if name == "diff"
    sheet.box("diff", -1, -1, 1, 1)
    sheet.box("li1", -1, -1, 1, 1)
  end
end

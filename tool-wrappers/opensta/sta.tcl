# Timing of the final netlist: writes the report and metrics.json. Works with OpenSTA 2.0.17 and newer.
set report {{ outputs.report }}

# Runs a command that prints, appends what it prints to the report under a title, and returns it.
proc section {title command} {
  global report
  set part "part.txt"
  uplevel #0 "$command > $part"
  set file [open $part]
  set text [read $file]
  close $file
  set out [open $report a]
  puts $out "== $title\n\n$text"
  close $out
  return $text
}

proc worst {delay} {
  set path [lindex [find_timing_paths -path_delay $delay] 0]
  if {$path eq "" || $path eq "NULL"} { error "no path is constrained for $delay delay" }
  return [get_property $path slack]
}

# Number of paths that miss and the sum of what they miss by.
proc misses {delay} {
  set count 0
  set total 0.0
  foreach path [find_timing_paths -path_delay $delay -group_count 100000 -slack_max -1e-6] {
    if {$path eq "" || $path eq "NULL"} { continue }
    incr count
    set total [expr {$total + [get_property $path slack]}]
  }
  return [list $count $total]
}

proc metric {name value unit} {
  global metrics
  set unit_text [expr {$unit eq "" ? "" : ", \"unit\": \"$unit\""}]
  lappend metrics "\"$name\": {\"value\": $value$unit_text}"
}

# `sta` goes on after a command of a script failed; one `catch` around all of them makes a failure final.
set failed [catch {
  read_liberty {{ inputs.liberty }}
  read_verilog {{ inputs.netlist }}
  link_design {{ params.top }}
  if {[llength [get_cells *]] == 0} { error "the netlist has no module '{{ params.top | safe }}' with cells in it" }
  source {{ inputs.sdc }}
  if {[llength [all_clocks]] == 0} { error "the constraints define no clock" }
{% if inputs.spef is defined -%}
  read_spef -quiet {{ inputs.spef }}
{%- endif %}

  set file [open $report w]
  close $file
  set setup [section "Setup checks" "check_setup -verbose"]
  section "Slowest paths" "report_checks -path_delay max -group_count {{ params.paths }} -fields {slew capacitance input_pin} -digits 3"
  section "Fastest paths" "report_checks -path_delay min -group_count {{ params.paths }} -fields {slew capacitance input_pin} -digits 3"
  set skew_text [section "Clock skew" "report_clock_skew -digits 3"]
  set slew_text [section "Slew violations" "report_check_types -max_transition -all_violators -digits 3"]
  set power_text [section "Power, W" "report_power -digits 4"]

  set metrics {}

  set period [get_property [lindex [all_clocks] 0] period]
  set setup_slack [worst max]
  set hold_slack [worst min]
  metric clock_period_ns $period ns
  metric setup_wns_ns $setup_slack ns
  metric hold_wns_ns $hold_slack ns
  foreach {name delay} {setup max hold min} {
    lassign [misses $delay] count total
    metric ${name}_violations $count ""
    metric ${name}_tns_ns $total ns
  }
  # The shortest period at which the slowest path would just pass, all else as constrained.
  metric fmax_mhz [expr {1000.0 / ($period - $setup_slack)}] MHz
  metric slew_violations [regexp -all {VIOLATED} $slew_text] ""
  set unconstrained 0
  regexp {There (?:are|is) (\d+) unconstrained endpoint} $setup all unconstrained
  metric unconstrained_endpoints $unconstrained ""
  set numbers [regexp -all -inline -- {-?\d+\.\d+} $skew_text]
  if {[llength $numbers] > 0} { metric clock_skew_ns [lindex $numbers end] ns }
  if {[regexp {(?n)^Total\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)} $power_text all internal switching leakage total]} {
    metric power_mw [expr {$total * 1e3}] mW
    metric leakage_mw [expr {$leakage * 1e3}] mW
  }
  # Newer versions check capacitance limits too; this one's word decides whether the metric is there.
  if {![catch { report_check_types -max_capacitance -all_violators > part.txt }]} {
    set text [section "Capacitance violations" "report_check_types -max_capacitance -all_violators -digits 3"]
    metric capacitance_violations [regexp -all {VIOLATED} $text] ""
  }

  set file [open metrics.json w]
  puts $file "{[join $metrics ", "]}"
  close $file
} message]
# Its exit code is 0 all the same; the wrapper's last step looks for metrics.json.
if {$failed} { puts stderr "error: $message" }

"""The enumerations of clause 21, by the names that its productions give the numbers."""

from __future__ import annotations


def counted(text: str) -> dict[str, int]:
    """Names with their numbers: each has the next one, unless a number stands before it."""
    numbers: dict[str, int] = {}
    number = 0
    for word in text.split():
        if word.isdecimal():
            number = int(word)
        else:
            numbers[word] = number
            number += 1
    return numbers


class Names:
    """The names of an enumeration; numbers without a name stand for themselves."""

    def __init__(self, text: str) -> None:
        self.numbers = counted(text)
        self._names = {number: name for name, number in self.numbers.items()}

    def name(self, number: int) -> str | int:
        return self._names.get(number, number)

    def number(self, name: str | int) -> int:
        """The number of `name`, which may be a number itself. ValueError if there is none."""
        if isinstance(name, int) and name >= 0:
            return int(name)
        if not isinstance(name, str):
            raise ValueError(f"there is no {name!r:.60} here")
        number = self.numbers.get(name)
        if number is None and name.isascii() and name.isdecimal() and len(name) <= 10:
            number = int(name)
        if number is None:
            raise ValueError(f"there is no {name[:60]!r} here")
        return number


OBJECT_TYPES = Names("""
0 analog-input analog-output analog-value binary-input binary-output binary-value calendar command
device event-enrollment file group loop multi-state-input multi-state-output notification-class
program schedule averaging multi-state-value trend-log life-safety-point life-safety-zone
accumulator pulse-converter event-log global-group trend-log-multiple load-control structured-view
access-door timer access-credential access-point access-rights access-user access-zone
credential-data-input network-security bitstring-value characterstring-value date-pattern-value
date-value datetime-pattern-value datetime-value integer-value large-analog-value octetstring-value
positive-integer-value time-pattern-value time-value notification-forwarder alert-enrollment channel
lighting-output binary-lighting-output network-port elevator-group escalator lift staging audit-log
audit-reporter
""")
PROPERTIES = Names("""
0 acked-transitions ack-required action action-text active-text active-vt-sessions alarm-value
alarm-values all all-writes-successful apdu-segment-timeout apdu-timeout
application-software-version archive bias change-of-state-count change-of-state-time
notification-class 19 controlled-variable-reference controlled-variable-units
controlled-variable-value cov-increment date-list daylight-savings-status deadband
derivative-constant derivative-constant-units description description-of-halt device-address-binding
device-type effective-period elapsed-active-time error-limit event-enable event-state event-type
exception-schedule fault-values feedback-value file-access-method file-size file-type
firmware-revision high-limit inactive-text in-process instance-of integral-constant
integral-constant-units issue-confirmed-notifications limit-enable list-of-group-members
list-of-object-property-references list-of-session-keys local-date local-time location low-limit
manipulated-variable-reference maximum-output max-apdu-length-accepted max-info-frames max-master
max-pres-value minimum-off-time minimum-on-time minimum-output min-pres-value model-name
modification-date notify-type number-of-apdu-retries number-of-states object-identifier object-list
object-name object-property-reference object-type optional out-of-service output-units
event-parameters polarity present-value priority priority-array priority-for-writing
process-identifier program-change program-location program-state proportional-constant
proportional-constant-units 96 protocol-object-types-supported protocol-services-supported
protocol-version read-only reason-for-halt 102 recipient-list reliability relinquish-default
required resolution segmentation-supported setpoint setpoint-reference state-text status-flags
system-status time-delay time-of-active-time-reset time-of-state-count-reset
time-synchronization-recipients units update-interval utc-offset vendor-identifier vendor-name
vt-classes-supported weekly-schedule attempted-samples average-value buffer-size
client-cov-increment cov-resubscription-interval 130 event-time-stamps log-buffer
log-device-object-property enable log-interval maximum-value minimum-value notification-threshold
139 protocol-revision records-since-notification record-count start-time stop-time stop-when-full
total-record-count valid-samples window-interval window-samples maximum-value-timestamp
minimum-value-timestamp variance-value active-cov-subscriptions backup-failure-timeout
configuration-files database-revision direct-reading last-restore-time maintenance-required
member-of mode operation-expected setting silenced tracking-value zone-members
life-safety-alarm-values max-segments-accepted profile-name auto-slave-discovery
manual-slave-address-binding slave-address-binding slave-proxy-enable last-notify-record
schedule-default accepted-modes adjust-value count count-before-change count-change-time cov-period
input-reference limit-monitoring-interval logging-object logging-record prescale pulse-rate scale
scale-factor update-time value-before-change value-set value-change-time align-intervals 195
interval-offset last-restart-reason logging-type 202 restart-notification-recipients
time-of-device-restart time-synchronization-interval trigger utc-time-synchronization-recipients
node-subtype node-type structured-object-list subordinate-annotations subordinate-list
actual-shed-level duty-window expected-shed-level full-duty-baseline 218 requested-shed-level
shed-duration shed-level-descriptions shed-levels state-description 226 door-alarm-state
door-extended-pulse-time door-members door-open-too-long-time door-pulse-time door-status
door-unlock-delay-time lock-status masked-alarm-values secured-status 244 absentee-limit
access-alarm-events access-doors access-event access-event-authentication-factor
access-event-credential access-event-time access-transaction-events accompaniment accompaniment-time
activation-time active-authentication-policy assigned-access-rights authentication-factors
authentication-policy-list authentication-policy-names authentication-status authorization-mode
belongs-to credential-disable credential-status credentials credentials-in-zone days-remaining
entry-points exit-points expiration-time extended-time-enable failed-attempt-events failed-attempts
failed-attempts-time last-access-event last-access-point last-credential-added
last-credential-added-time last-credential-removed last-credential-removed-time last-use-time
lockout lockout-relinquish-time master-exemption max-failed-attempts members muster-point
negative-access-rules number-of-authentication-policies occupancy-count occupancy-count-adjust
occupancy-count-enable occupancy-exemption occupancy-lower-limit occupancy-lower-limit-enforced
occupancy-state occupancy-upper-limit occupancy-upper-limit-enforced passback-exemption
passback-mode passback-timeout positive-access-rules reason-for-disable supported-formats
supported-format-classes threat-authority threat-level trace-flag transaction-notification-class
user-external-identifier user-information-reference 317 user-name user-type uses-remaining zone-from
zone-to access-event-tag global-identifier 326 verification-time base-device-security-policy
distribution-key-revision do-not-hide key-sets last-key-server network-access-security-policies
packet-reorder-time security-pdu-timeout security-time-window supported-security-algorithms
update-key-set-timeout backup-and-restore-state backup-preparation-time restore-completion-time
restore-preparation-time bit-mask bit-text is-utc group-members group-member-names
member-status-flags requested-update-interval covu-period covu-recipients event-message-texts
event-message-texts-config event-detection-enable event-algorithm-inhibit
event-algorithm-inhibit-ref time-delay-normal reliability-evaluation-inhibit fault-parameters
fault-type local-forwarding-only process-identifier-filter subscribed-recipients port-filter
authorization-exemptions allow-group-delay-inhibit channel-number control-groups execution-delay
last-priority write-status property-list serial-number blink-warn-enable default-fade-time
default-ramp-rate default-step-increment egress-time in-progress instantaneous-power
lighting-command lighting-command-default-priority max-actual-value min-actual-value power
transition egress-active interface-value fault-high-limit fault-low-limit low-diff-limit
strike-count time-of-strike-count-reset default-timeout initial-timeout last-state-change
state-change-values timer-running timer-state apdu-length ip-address ip-default-gateway
ip-dhcp-enable ip-dhcp-lease-time ip-dhcp-lease-time-remaining ip-dhcp-server ip-dns-server
bacnet-ip-global-address bacnet-ip-mode bacnet-ip-multicast-address bacnet-ip-nat-traversal
ip-subnet-mask bacnet-ip-udp-port bbmd-accept-fd-registrations bbmd-broadcast-distribution-table
bbmd-foreign-device-table changes-pending command fd-bbmd-address fd-subscription-lifetime
link-speed link-speeds link-speed-autonegotiate mac-address network-interface-name network-number
network-number-quality network-type routing-table virtual-mac-address-table command-time-array
current-command-priority last-command-time value-source value-source-array bacnet-ipv6-mode
ipv6-address ipv6-prefix-length bacnet-ipv6-udp-port ipv6-default-gateway
bacnet-ipv6-multicast-address ipv6-dns-server ipv6-auto-addressing-enable ipv6-dhcp-lease-time
ipv6-dhcp-lease-time-remaining ipv6-dhcp-server ipv6-zone-index assigned-landing-calls
car-assigned-direction car-door-command car-door-status car-door-text car-door-zone car-drive-status
car-load car-load-units car-mode car-moving-direction car-position elevator-group energy-meter
energy-meter-ref escalator-mode fault-signals floor-text group-id 467 group-mode higher-deck
installation-id landing-calls landing-call-control landing-door-status lower-deck machine-room-id
making-car-call next-stopping-floor operation-direction passenger-alarm power-mode
registered-car-call active-cov-multiple-subscriptions protocol-level reference-port
deployed-profile-location profile-location tags subordinate-node-types subordinate-tags
subordinate-relationships default-subordinate-relationship represents default-present-value
present-stage stages stage-names target-references audit-source-reporter audit-level
audit-notification-recipient audit-priority-filter auditable-operations delete-on-forward
maximum-send-delay monitored-objects send-now floor-number device-uuid
""")
UNITS = Names("""
0 square-meters square-feet milliamperes amperes ohms volts kilovolts megavolts volt-amperes
kilovolt-amperes megavolt-amperes volt-amperes-reactive kilovolt-amperes-reactive
megavolt-amperes-reactive degrees-phase power-factor joules kilojoules watt-hours kilowatt-hours
btus therms ton-hours joules-per-kilogram-dry-air btus-per-pound-dry-air cycles-per-hour
cycles-per-minute hertz grams-of-water-per-kilogram-dry-air percent-relative-humidity millimeters
meters inches feet watts-per-square-foot watts-per-square-meter lumens luxes foot-candles kilograms
pounds-mass tons kilograms-per-second kilograms-per-minute kilograms-per-hour pounds-mass-per-minute
pounds-mass-per-hour watts kilowatts megawatts btus-per-hour horsepower tons-refrigeration pascals
kilopascals bars pounds-force-per-square-inch centimeters-of-water inches-of-water
millimeters-of-mercury centimeters-of-mercury inches-of-mercury degrees-celsius degrees-kelvin
degrees-fahrenheit degree-days-celsius degree-days-fahrenheit years months weeks days hours minutes
seconds meters-per-second kilometers-per-hour feet-per-second feet-per-minute miles-per-hour
cubic-feet cubic-meters imperial-gallons liters us-gallons cubic-feet-per-minute
cubic-meters-per-second imperial-gallons-per-minute liters-per-second liters-per-minute
us-gallons-per-minute degrees-angular degrees-celsius-per-hour degrees-celsius-per-minute
degrees-fahrenheit-per-hour degrees-fahrenheit-per-minute no-units parts-per-million
parts-per-billion percent percent-per-second per-minute per-second psi-per-degree-fahrenheit radians
revolutions-per-minute currency1 currency2 currency3 currency4 currency5 currency6 currency7
currency8 currency9 currency10 square-inches square-centimeters btus-per-pound centimeters
pounds-mass-per-second delta-degrees-fahrenheit delta-degrees-kelvin kilohms megohms millivolts
kilojoules-per-kilogram megajoules joules-per-degree-kelvin joules-per-kilogram-degree-kelvin
kilohertz megahertz per-hour milliwatts hectopascals millibars cubic-meters-per-hour liters-per-hour
kilowatt-hours-per-square-meter kilowatt-hours-per-square-foot megajoules-per-square-meter
megajoules-per-square-foot watts-per-square-meter-degree-kelvin cubic-feet-per-second
percent-obscuration-per-foot percent-obscuration-per-meter milliohms megawatt-hours kilo-btus
mega-btus kilojoules-per-kilogram-dry-air megajoules-per-kilogram-dry-air
kilojoules-per-degree-kelvin megajoules-per-degree-kelvin newton grams-per-second grams-per-minute
tons-per-hour kilo-btus-per-hour hundredths-seconds milliseconds newton-meters
millimeters-per-second millimeters-per-minute meters-per-minute meters-per-hour
cubic-meters-per-minute meters-per-second-per-second amperes-per-meter amperes-per-square-meter
ampere-square-meters farads henrys ohm-meters siemens siemens-per-meter teslas
volts-per-degree-kelvin volts-per-meter webers candelas candelas-per-square-meter
degrees-kelvin-per-hour degrees-kelvin-per-minute joule-seconds radians-per-second
square-meters-per-newton kilograms-per-cubic-meter newton-seconds newtons-per-meter
watts-per-meter-per-degree-kelvin micro-siemens cubic-feet-per-hour us-gallons-per-hour kilometers
micrometers grams milligrams milliliters milliliters-per-second decibels decibels-millivolt
decibels-volt millisiemens watt-hours-reactive kilowatt-hours-reactive megawatt-hours-reactive
millimeters-of-water per-mille grams-per-gram kilograms-per-kilogram grams-per-kilogram
milligrams-per-gram milligrams-per-kilogram grams-per-milliliter grams-per-liter
milligrams-per-liter micrograms-per-liter grams-per-cubic-meter milligrams-per-cubic-meter
micrograms-per-cubic-meter nanograms-per-cubic-meter grams-per-cubic-centimeter becquerels
kilobecquerels megabecquerels gray milligray microgray sieverts millisieverts microsieverts
microsieverts-per-hour decibels-a nephelometric-turbidity-unit ph grams-per-square-meter
minutes-per-degree-kelvin ohm-meter-per-square-meter ampere-seconds volt-ampere-hours
kilovolt-ampere-hours megavolt-ampere-hours volt-ampere-hours-reactive
kilovolt-ampere-hours-reactive megavolt-ampere-hours-reactive volts-square-hours ampere-square-hours
joules-per-hours cubic-feet-per-day cubic-meters-per-day watt-hours-per-cubic-meter
joules-per-cubic-meter 253 pascal-seconds
""")
ERROR_CLASSES = Names("device object property resources security services vt communication")
ERROR_CODES = Names("""
0 other 2 configuration-in-progress device-busy dynamic-creation-not-supported file-access-denied 7
inconsistent-parameters inconsistent-selection-criterion invalid-data-type
invalid-file-access-method invalid-file-start-position 13 invalid-parameter-data-type
invalid-time-stamp 16 missing-required-parameter no-objects-of-specified-type no-space-for-object
no-space-to-add-list-element no-space-to-write-property no-vt-sessions-available
property-is-not-a-list object-deletion-not-permitted object-identifier-already-exists
operational-problem password-failure read-access-denied 29 service-request-denied timeout
unknown-object unknown-property 34 unknown-vt-class unknown-vt-session unsupported-object-type
value-out-of-range vt-session-already-closed vt-session-termination-failure write-access-denied
character-set-not-supported invalid-array-index cov-subscription-failed not-cov-property
optional-functionality-not-supported invalid-configuration-data datatype-not-supported
duplicate-name duplicate-object-id property-is-not-an-array abort-buffer-overflow
abort-invalid-apdu-in-this-state abort-preempted-by-higher-priority-task
abort-segmentation-not-supported abort-proprietary abort-other invalid-tag network-down
reject-buffer-overflow reject-inconsistent-parameters reject-invalid-parameter-data-type
reject-invalid-tag reject-missing-required-parameter reject-parameter-out-of-range
reject-too-many-arguments reject-undefined-enumeration reject-unrecognized-service
reject-proprietary reject-other unknown-device unknown-route value-not-initialized
invalid-event-state no-alarm-configured log-buffer-full logged-value-purged no-property-specified
not-configured-for-triggered-logging unknown-subscription parameter-out-of-range
list-element-not-found busy communication-disabled success access-denied bad-destination-address
bad-destination-device-id bad-signature bad-source-address bad-timestamp cannot-use-key
cannot-verify-message-id correct-key-revision destination-device-id-required duplicate-message
encryption-not-configured encryption-required incorrect-key invalid-key-data key-update-in-progress
malformed-message not-key-server security-not-configured source-security-required too-many-keys
unknown-authentication-type unknown-key unknown-key-revision unknown-source-message
not-router-to-dnet router-busy unknown-network-message message-too-long security-error
addressing-error write-bdt-failed read-bdt-failed register-foreign-device-failed read-fdt-failed
delete-fdt-entry-failed distribute-broadcast-failed unknown-file-size abort-apdu-too-long
abort-application-exceeded-reply-time abort-out-of-resources abort-tsm-timeout
abort-window-size-out-of-range file-full inconsistent-configuration inconsistent-object-type
internal-error not-configured out-of-memory value-too-long abort-insufficient-security
abort-security-error duplicate-entry invalid-value-in-this-state
""")
RELIABILITIES = Names("""
0 no-fault-detected no-sensor over-range under-range open-loop shorted-loop no-output
unreliable-other process-error multi-state-fault configuration-error 12 communication-failure
member-fault monitored-object-fault tripped lamp-failure activation-failure renew-dhcp-failure
renew-fd-registration-failure restart-auto-negotiation-failure restart-failure
proprietary-command-failure faults-listed referenced-object-fault multi-state-out-of-range
""")
EVENT_STATES = Names("normal fault offnormal high-limit low-limit life-safety-alarm")
DEVICE_STATUSES = Names("""
operational operational-read-only download-required download-in-progress non-operational
backup-in-progress
""")
SEGMENTATIONS = Names("both transmit receive none")
"""segmented-both, segmented-transmit, segmented-receive, no-segmentation."""
POLARITIES = Names("normal reverse")
BINARY = Names("inactive active")

"""Every coded concept in one place. A validator checks that codes are well formed, not that they mean what is meant."""

from highdicom.sr.coding import CodedConcept


def _code(value: str, scheme: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, scheme, meaning)


# Categories (CID 7150) and anatomy
ANATOMICAL_STRUCTURE = _code("91723000", "SCT", "Anatomical Structure")
ABNORMAL_STRUCTURE = _code("49755003", "SCT", "Morphologically Abnormal Structure")
LUNG = _code("39607008", "SCT", "Lung")
RIGHT = _code("24028007", "SCT", "Right")
LEFT = _code("7771000", "SCT", "Left")
RIGHT_AND_LEFT = _code("51440002", "SCT", "Right and left")
# CID 6171
UPPER_ZONE = _code("281392002", "SCT", "Upper zone of lung")
MIDDLE_ZONE = _code("281393007", "SCT", "Middle zone of lung")
LOWER_ZONE = _code("281394001", "SCT", "Lower zone of lung")

# Findings (CID 6103, 6104, 6106)
GROUND_GLASS_OPACITY = _code("112120", "DCM", "Ground glass opacity")
CONSOLIDATION = _code("95436008", "SCT", "Lung consolidation")
RETICULAR_PATTERN = _code("112113", "DCM", "Reticular pattern")
ABNORMAL_INTERSTITIAL_PATTERN = _code("112004", "DCM", "Abnormal interstitial pattern")

# Quantities, methods and units
VOLUME = _code("118565006", "SCT", "Volume")
SEGMENTED_VOXEL_METHOD = _code("126030", "DCM", "Sum of segmented voxel method for volume")
ATTENUATION = _code("112031", "DCM", "Attenuation Coefficient")
MEAN = _code("373098007", "SCT", "Mean")
STANDARD_DEVIATION = _code("386136009", "SCT", "Standard Deviation")
SKEWNESS = _code("126051", "DCM", "Skewness")
KURTOSIS = _code("126052", "DCM", "Kurtosis")
MILLILITRE = _code("ml", "UCUM", "ml")
PERCENT = _code("%", "UCUM", "Percent")
HOUNSFIELD = _code("[hnsf'U]", "UCUM", "Hounsfield unit")
NO_UNITS = _code("1", "UCUM", "no units")

# No standard concept says "percent of the lung": ours, declared in CodingSchemeIdentificationSequence.
PRIVATE_SCHEME = "99SCLEROSCAN"
PRIVATE_SCHEME_NAME = "Scleroscan measurement codes"
EXTENT = _code("EXTENT-VOLUME", PRIVATE_SCHEME, "Extent, volume of finding divided by volume of lung")
QUALITY_FLAG = _code("QUALITY-FLAG", PRIVATE_SCHEME, "Quality flag")
EXTENT_LOWER = _code("EXTENT-LOWER", PRIVATE_SCHEME, "Extent, lower bound of 95 % interval")
EXTENT_UPPER = _code("EXTENT-UPPER", PRIVATE_SCHEME, "Extent, upper bound of 95 % interval")
HIGH_ATTENUATION = _code("HIGH-ATTENUATION", PRIVATE_SCHEME, "High attenuation areas, -600 to -250 HU, of the lung")
FIVE_LEVEL_EXTENT = _code("EXTENT-FIVE-LEVELS", PRIVATE_SCHEME, "Extent, mean of five levels, approximate")
GOH_CATEGORY = _code("GOH-CATEGORY", PRIVATE_SCHEME, "Category of Goh")
CHANGE = _code("EXTENT-CHANGE", PRIVATE_SCHEME, "Change of extent in points, later minus earlier exam")
CHANGE_LOWER = _code("EXTENT-CHANGE-LOWER", PRIVATE_SCHEME, "Change of extent, lower bound of 95 % interval")
CHANGE_UPPER = _code("EXTENT-CHANGE-UPPER", PRIVATE_SCHEME, "Change of extent, upper bound of 95 % interval")
CHANGE_VERDICT = _code("CHANGE-VERDICT", PRIVATE_SCHEME, "What the change says")
COMPARISON_CAVEAT = _code("COMPARISON-CAVEAT", PRIVATE_SCHEME, "What speaks against comparing")


def own(name: str) -> CodedConcept:
    """Return the code of a word of ours, as of a quality flag: its own stable name."""
    return CodedConcept(name, PRIVATE_SCHEME, name.replace("_", " ").capitalize())


# The report
# CID 7010
OF_INTEREST = _code("113000", "DCM", "Of Interest")
IMAGING_MEASUREMENT_REPORT = _code("126000", "DCM", "Imaging Measurement Report")
CT_CHEST = _code("24627-2", "LN", "CT Chest")
# Not 123109, which is Manual Processing and passes every validator just as well.
ARTIFICIAL_INTELLIGENCE = _code("123110", "DCM", "Artificial Intelligence")
STUDY_DATE = _code("111060", "DCM", "Study Date")
STUDY_INSTANCE_UID = _code("110180", "DCM", "Study Instance UID")
PROCESSING_EQUIPMENT = _code("109102", "DCM", "Processing Equipment")
